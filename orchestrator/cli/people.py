"""`tagdesk users` and `tagdesk tokens`."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestrator import accounts
from orchestrator.cli.session import with_store
from orchestrator.errors import NotFound
from orchestrator.records import Role
from orchestrator.store import users as stored
from orchestrator.store.unit_of_work import Store

users = typer.Typer(no_args_is_help=True, help="People and programs that may do something.")
tokens = typer.Typer(no_args_is_help=True, help="What people sign in with.")


@users.command("create")
def create_user(
    name: Annotated[str, typer.Argument(help="How others see the user.")],
    role: Annotated[Role, typer.Option(help="What the user may do.")],
    external_id: Annotated[int | None, typer.Option(help="The board's id of the user.")] = None,
) -> None:
    """Add a user. Example: tagdesk users create mira --role moderator."""
    user = with_store(
        lambda store: accounts.create_user(store, name=name, role=role, external_id=external_id)
    )
    typer.echo(f"{user.name} is a {user.role}; `tagdesk tokens issue {user.name}` gives them a token")


@users.command("list")
def list_users() -> None:
    """List all users."""
    table = Table("id", "name", "role", "board's id")
    for user in with_store(lambda store: store.read(stored.list_users)):
        table.add_row(str(user.id), user.name, user.role, str(user.external_id or ""))
    Console().print(table)


@tokens.command()
def issue(
    user: Annotated[str, typer.Argument(help="The user's name.")],
    days: Annotated[
        int | None, typer.Option(min=1, help="How long it is good for; for ever unless set.")
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for, for your own records.")] = "",
) -> None:
    """Make a token and print it: the only time that it can be read. Example: tagdesk tokens issue mira."""

    async def work(store: Store) -> str:
        found = await accounts.find_user(store, user)
        if found is None:
            raise NotFound(f"no user is called {user!r}; `tagdesk users list` shows them")
        lifetime = None if days is None else timedelta(days=days)
        return await accounts.issue_token(store, found, name=name, lifetime=lifetime)

    typer.echo(with_store(work))


@tokens.command()
def revoke(token: Annotated[str, typer.Argument(help="The token itself.")]) -> None:
    """Make a token worthless at once."""
    with_store(lambda store: accounts.revoke(store, token))
    typer.echo("revoked")
