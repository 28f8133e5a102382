"""How commands reach an API: the address and the token that they are given, else those of the local stack."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from orchestrator.cli.session import NoInstallation
from orchestrator.client import Client, every
from orchestrator.demo.people import read_tokens
from orchestrator.errors import NotFound
from orchestrator.local.stack import Stack
from orchestrator.records import Role
from orchestrator.wire.tags import TagsQuery

T = TypeVar("T")

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="TAGDESK_PUBLIC_URL", help="The API's host; the local stack's unless set."),
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="TAGDESK_TOKEN", help="Who you are; the demo's moderator unless set."),
]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object a line, as the API answers.")]
LONGEST_PAGE = 200
_PATIENCE = 3.0
"""Seconds: who types a command would rather hear soon that nobody answers."""


def with_client(url: str | None, token: str | None, work: Callable[[Client], Awaitable[T]]) -> T:
    """Await `work` with a client and return its answer.

    Raises NoInstallation without an address or a token, and what the client raises.
    """
    address, who = _reach(url, token)

    async def run() -> T:
        async with Client(address, who, patience=_PATIENCE) as client:
            return await work(client)

    return asyncio.run(run())


def _reach(url: str | None, token: str | None) -> tuple[str, str]:
    """Return an address and a token. A token of the demo goes to no other installation."""
    if url is not None and token is not None:
        return url, token
    stack = Stack.of()
    local = None if stack.run() is None else stack.environment()["TAGDESK_PUBLIC_URL"]
    address = url or local
    if address is None:
        raise NoInstallation(
            f"the local stack {stack.instance.name!r} is not running: start it with `tagdesk up`, or name an"
            " API by --url or TAGDESK_PUBLIC_URL"
        )
    who = token or (read_tokens(stack.instance.tokens_file).get(Role.MODERATOR) if address == local else None)
    if who is None:
        raise NoInstallation(
            "say who you are by --token or TAGDESK_TOKEN; `tagdesk tokens issue NAME` makes a token"
        )
    return address, who


async def first(items: AsyncIterator[T], limit: int) -> list[T]:
    """Return the first items of a list that is walked, at most `limit`."""
    found: list[T] = []
    async for one in items:
        found.append(one)
        if len(found) == limit:
            break
    return found


async def find_tag(client: Client, name: str) -> int:
    """Return the id of the canonical tag that a title, or an id in digits, means. Raises NotFound."""
    if name.isascii() and name.isdecimal():
        return int(name)
    async for tag in every(client.list_tags, TagsQuery(title=name, limit=LONGEST_PAGE)):
        if tag.title.casefold() == name.casefold():
            return tag.alias_of or tag.id
    raise NotFound(f"no tag is called {name!r}; `tagdesk review worklist --search` shows titles with a part")


def print_json(answers: Iterable[BaseModel]) -> None:
    """Print what the API answered, a line each."""
    for answer in answers:
        typer.echo(answer.model_dump_json())
