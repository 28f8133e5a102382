"""How commands reach an installation: by TAGDESK_* of the environment, else the running local stack."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator.errors import TagdeskError
from orchestrator.local.stack import Stack
from orchestrator.settings import Settings, load_settings
from orchestrator.store.unit_of_work import Store

T = TypeVar("T")


class NoInstallation(TagdeskError):
    """There is nothing to connect to."""

    code = "no_installation"


def connect_settings() -> Settings:
    """Return the settings of the installation that this command works on.

    The environment's when TAGDESK_DATABASE_URL or TAGDESK_SECRETS_DIR is set, else those of the running local
    stack. Raises NoInstallation when neither is there, pydantic.ValidationError when settings are missing.
    """
    if not any(os.environ.get(name) for name in ("TAGDESK_DATABASE_URL", "TAGDESK_SECRETS_DIR")):
        stack = Stack.of()
        if stack.run() is None:
            raise NoInstallation(
                f"the local stack {stack.instance.name!r} is not running: start it with `tagdesk up`, or set"
                " TAGDESK_DATABASE_URL and the other TAGDESK_* settings of an installation"
            )
        os.environ.update(stack.environment())
    return load_settings()


def with_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Await `work` with an open store of the installation and return its answer."""
    return with_settings(lambda store, _: work(store))


def with_settings(work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    """Like `with_store`, for work that needs the settings, too."""
    settings = connect_settings()

    async def run() -> T:
        store = await Store.connect(settings)
        try:
            return await work(store, settings)
        finally:
            await store.close()

    return asyncio.run(run())
