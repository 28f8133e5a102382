"""How an instance stands: what its supervisor says, and what the parts themselves answer."""

import asyncio
import json
import re
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import httpx

from orchestrator.local.checks import CHECKS, Environment
from orchestrator.local.errors import NotReady
from orchestrator.local.instance import Instance
from orchestrator.local.parts import PartName
from orchestrator.local.runfile import PartState, PartStatus
from orchestrator.local.stack import Stack

_CHECK_LIMIT = 5.0
_PROVIDER = re.compile(rb"runs on (\w+)ExecutionProvider")
_ADDRESSES = {
    PartName.MARIADB: "TAGDESK_DATABASE_URL",
    PartName.REDIS: "TAGDESK_REDIS_URL",
    PartName.TRITON: "TAGDESK_TRITON_URL",
    PartName.API: "TAGDESK_PUBLIC_URL",
}


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part. `address` shows no password. `provider`: what Triton computes on (`CPU`, `CUDA`), None while
    that is unknown. `detail`: why it is not healthy."""

    name: str
    state: str
    healthy: bool
    pid: int | None
    address: str | None
    provider: str | None
    log: str
    restarts: int
    detail: str


@dataclass(frozen=True, slots=True)
class StackReport:
    """A whole instance. `tokens`: as the demo wrote them, None where it did not run."""

    instance: str
    running: bool
    healthy: bool
    url: str
    logs: str
    parts: tuple[PartReport, ...]
    tokens: object

    def to_json(self) -> str:
        """Return the report as an indented JSON object."""
        return json.dumps(asdict(self), indent=2)


async def survey(stack: Stack) -> StackReport:
    """Ask every part at the same time how it is."""
    environment, run = stack.environment(), stack.run()
    known = {} if run is None else run.parts
    parts = await asyncio.gather(
        *(_report(stack, PartName(name), status, environment) for name, status in known.items())
    )
    return StackReport(
        instance=stack.instance.name,
        running=run is not None,
        healthy=run is not None and all(part.healthy for part in parts),
        url=environment["TAGDESK_PUBLIC_URL"],
        logs=str(stack.instance.logs),
        parts=tuple(parts),
        tokens=_tokens(stack.instance),
    )


async def _report(stack: Stack, name: PartName, status: PartStatus, environment: Environment) -> PartReport:
    healthy = status.state in (PartState.READY, PartState.DONE, PartState.PROVIDED)
    detail = status.detail
    check = CHECKS.get(name)
    if healthy and check is not None:
        try:
            async with asyncio.timeout(_CHECK_LIMIT):
                await check(environment)
        except (NotReady, TimeoutError) as error:
            healthy, detail = False, str(error) or "no answer"
    address = environment.get(_ADDRESSES.get(name, ""))
    return PartReport(
        name=name,
        state=status.state,
        healthy=healthy,
        pid=status.pid,
        address=None if address is None else _without_password(address),
        provider=await _provider(stack, status, environment) if name is PartName.TRITON else None,
        log=str(stack.instance.log_file(name)),
        restarts=status.restarts,
        detail=detail,
    )


async def _provider(stack: Stack, status: PartStatus, environment: Environment) -> str | None:
    """Return what Triton computes on: our own says so in its log, another one has metrics of a GPU or not."""
    if status.state is not PartState.PROVIDED:
        try:
            found = _PROVIDER.findall(stack.instance.log_file(PartName.TRITON).read_bytes())
        except FileNotFoundError:
            return None
        return found[-1].decode() if found else None
    url = environment.get("TAGDESK_TRITON_METRICS_URL")
    if "TAGDESK_TRITON_METRICS_URL" not in stack.given or url is None:
        return None
    try:
        async with httpx.AsyncClient(timeout=_CHECK_LIMIT, trust_env=False) as client:
            answer = await client.get(url)
    except httpx.HTTPError:
        return None
    return "CUDA" if "nv_gpu_" in answer.text else "CPU"


def _without_password(address: str) -> str:
    """Return `address` as it may be shown to whoever looks over a shoulder."""
    if "://" not in address:
        return address
    url = urlsplit(address)
    return f"{url.scheme}://{url.hostname}:{url.port}{url.path}"


def _tokens(instance: Instance) -> object:
    try:
        return json.loads(instance.tokens_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
