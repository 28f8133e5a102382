"""Questions that show whether a part works. Each takes the environment of the product's processes and
raises NotReady; none takes longer than its timeouts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import asyncmy
import httpx
import redis.asyncio
from redis.exceptions import RedisError

from orchestrator.inference.client import TritonClient
from orchestrator.local.errors import NotReady
from orchestrator.local.parts import PartName

Environment = Mapping[str, str]
Check = Callable[[Environment], Awaitable[None]]

_TIMEOUT = 2.0


async def mariadb(environment: Environment) -> None:
    """Connect as the application does, and ask something."""
    url = urlsplit(environment["TAGDESK_DATABASE_URL"])
    try:
        async with asyncio.timeout(_TIMEOUT):
            connection = await asyncmy.connect(
                host=url.hostname,
                port=url.port or 3306,
                user=url.username or "",
                password=url.password or "",
                database=url.path.lstrip("/"),
                connect_timeout=_TIMEOUT,
            )
            try:
                async with connection.cursor() as cursor:
                    await cursor.execute("SELECT 1")
            finally:
                connection.close()
    except (asyncmy.errors.MySQLError, OSError, TimeoutError) as error:
        raise NotReady(f"MariaDB: {error!r}") from error


async def redis_server(environment: Environment) -> None:
    """Ping."""
    client = redis.asyncio.Redis.from_url(
        environment["TAGDESK_REDIS_URL"], socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    )
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        raise NotReady(f"Redis: {error!r}") from error
    finally:
        await client.aclose()


async def triton(environment: Environment) -> None:
    """Ask the server whether it is live; which models it serves is the keeper's business."""
    async with TritonClient(environment["TAGDESK_TRITON_URL"], timeout=_TIMEOUT) as client:
        if not await client.is_live(deadline=_TIMEOUT):
            raise NotReady("Triton does not answer")


async def api(environment: Environment) -> None:
    """Ask for /health/live."""
    url = environment["TAGDESK_PUBLIC_URL"] + "/health/live"
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        raise NotReady(f"API: {error!r}") from error
    if answer.status_code != httpx.codes.OK:
        raise NotReady(f"API: {url} answers {answer.status_code}")


CHECKS: Mapping[str, Check] = {
    PartName.MARIADB: mariadb,
    PartName.REDIS: redis_server,
    PartName.TRITON: triton,
    PartName.API: api,
}
"""By part. A part without one is healthy while its process runs."""
