"""The installation that benchmarks run against: a local stack of their own with the demo board."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import typer

from orchestrator.demo.people import read_tokens
from orchestrator.demo.setup import set_up, until_ready
from orchestrator.local.instance import Instance
from orchestrator.local.stack import Stack
from orchestrator.records import Role
from orchestrator.settings import Settings, load_settings
from orchestrator.store.unit_of_work import Store

INSTANCE = "bench"


@dataclass(frozen=True, slots=True)
class Installation:
    """A running installation; `token` is a moderator's."""

    stack: Stack
    settings: Settings
    store: Store
    url: str
    token: str


def say(text: str) -> None:
    """Report progress, apart from the figures."""
    typer.echo(f"  {text}", err=True)


@asynccontextmanager
async def installation() -> AsyncIterator[Installation]:
    """Start the benchmarks' stack, give it the demo board, and end it afterwards; its data stays."""
    stack = Stack(Instance.named(INSTANCE), report=say)
    stack.up()
    try:
        environment = stack.environment()
        os.environ.update(environment)
        settings = load_settings()
        store = await Store.connect(settings)
        try:
            await set_up(store, settings, stack.instance.tokens_file, say=say)
            url = environment["TAGDESK_PUBLIC_URL"]
            await until_ready(url)
            tokens = read_tokens(stack.instance.tokens_file)
            yield Installation(stack, settings, store, url, tokens[Role.MODERATOR])
        finally:
            await store.close()
    finally:
        stack.down()
