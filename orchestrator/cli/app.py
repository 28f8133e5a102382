"""The commands of `tagdesk`, put together from the groups that know their subject."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from mapping_tools.commands import commands as mapping_commands
from orchestrator.cli import backfill, board, images, models, people, remap, review, thresholds
from orchestrator.cli.doctor import doctor
from orchestrator.cli.looking import analyze
from orchestrator.cli.offline import infer
from orchestrator.cli.session import connect_settings, with_settings
from orchestrator.demo.rollout import Rollout
from orchestrator.demo.run import Demo
from orchestrator.errors import TagdeskError
from orchestrator.local import commands as local
from orchestrator.local.errors import LocalStackError
from orchestrator.local.instance import checkout
from orchestrator.local.stack import Stack
from orchestrator.settings import PictureSettings, Settings, load_settings
from orchestrator.store.unit_of_work import Store

app = typer.Typer(
    name="tagdesk",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Tag suggestions for an image board: neural taggers look, people decide.\n\n"
        "The first steps on this machine:\n\n"
        "  tagdesk up        start everything\n\n"
        "  tagdesk demo      a small board, drawn pictures, suggestions to review\n\n"
        "  tagdesk status    addresses, health, tokens\n\n"
        "  tagdesk down      stop everything\n\n"
        "All other commands work on the installation that TAGDESK_* names, else on the running local stack."
    ),
)
app.registered_commands += local.app.registered_commands
app.command()(analyze)
app.command()(doctor)
app.add_typer(board.app, name="board")
app.command()(infer)
app.add_typer(images.app, name="images")
app.add_typer(backfill.app, name="backfill")
app.add_typer(remap.app, name="remap")
app.add_typer(mapping_commands(with_settings), name="mappings")
app.add_typer(models.app, name="models")
app.add_typer(thresholds.app, name="thresholds")
app.add_typer(review.app, name="review")
app.add_typer(people.users, name="users")
app.add_typer(people.tokens, name="tokens")


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="Where to go; `head` is the newest schema.")] = "head",
) -> None:
    """Bring the database's schema up to date. `tagdesk up` does so by itself."""
    from alembic import command  # noqa: PLC0415 - slow to import, and needed here alone
    from alembic.config import Config  # noqa: PLC0415

    settings = connect_settings()
    os.environ["TAGDESK_DATABASE_URL"] = settings.database_url.get_secret_value()
    command.upgrade(Config(checkout() / "migrations/alembic.ini"), revision)
    typer.echo(f"the schema is at {revision}")


@app.command()
def demo(
    pictures: Annotated[int, typer.Option(min=1, max=1000, help="How many portraits to take in.")] = 64,
) -> None:
    """Load a small board, register the models, take in drawn portraits and show what was suggested.

    Starts the local stack if need be. Run it again whenever you like: it changes nothing that is there.
    """
    stack = Stack.of(report=lambda text: typer.echo(f"  {text}"))
    stack.up()
    os.environ.update(stack.environment())
    asyncio.run(Demo(stack, load_settings(), Console()).run(pictures))


@app.command("demo-rollout")
def demo_rollout() -> None:
    """See a worse version refused and a better one promoted, on the demo's board.

    A simulated reviewer decides on what is pending there first. Needs a demo that runs (`tagdesk demo`), and
    takes about a minute.
    """
    stack = Stack.of(report=lambda text: typer.echo(f"  {text}"))
    os.environ.update(stack.environment())

    async def tell() -> None:
        settings = load_settings()
        store = await Store.connect(settings)
        try:
            await Rollout(stack, settings, store, Console()).tell()
        finally:
            await store.close()

    asyncio.run(tell())


def main() -> None:
    """Run the command line; what goes wrong on purpose becomes one message and exit status 1."""
    try:
        app()
    except (TagdeskError, LocalStackError) as error:
        _fail(str(error))
    except ValidationError as error:
        if error.title not in (Settings.__name__, PictureSettings.__name__):
            _fail(
                "; ".join(
                    f"{_option(item['loc'])}{item['msg'].removeprefix('Value error, ')}"
                    for item in error.errors()
                )
            )
        lines = [
            f"TAGDESK_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()
        ]
        _fail("the settings are not complete:\n  " + "\n  ".join(lines))


def _option(place: Sequence[int | str]) -> str:
    """Return the option that fills a field of a request; nothing for the request as a whole."""
    return f"--{str(place[-1]).replace('_', '-')}: " if place else ""


def _fail(message: str) -> NoReturn:
    program = Path(sys.argv[0]).name
    print(f"{program}: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
