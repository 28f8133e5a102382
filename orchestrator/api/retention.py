"""Raw predictions by version for engineers: how many, and how long they are kept."""

from orchestrator.api.call import Call
from orchestrator.api.effects import author_of, patiently
from orchestrator.api.operations import Reply
from orchestrator.registry import retention
from orchestrator.registry.retention import RawOf
from orchestrator.wire.retention import RawAnswer, RawPage, RetentionRequest


async def list_raw(call: Call) -> Reply:
    """List how much is stored of every version."""
    found, on_disk = await patiently(retention.list_raw(call.resources.store))
    page = RawPage(items=tuple(_answer(one) for one in found), next_cursor=None, bytes_on_disk=on_disk)
    return Reply(200, page)


async def set_retention(call: Call) -> Reply:
    """Say how long a version's raw predictions are kept."""
    body = await call.json(RetentionRequest)
    store = call.resources.store
    name, version = call.model_version
    await retention.set_policy(
        store, name, version, body.policy, newest=body.newest, force=body.force, author=author_of(call)
    )
    return Reply(200, _answer(await patiently(retention.raw_of(store, name, version))))


def _answer(found: RawOf) -> RawAnswer:
    said = found.retention
    return RawAnswer(
        name=found.row.name,
        version=found.row.version,
        state=found.row.state,
        images=found.stored.images,
        rows=found.stored.rows,
        bytes=found.bytes,
        policy=found.policy,
        newest=None if said is None else said.newest,
        forced=said is not None and said.forced,
        dropped_images=0 if said is None else said.dropped_images,
        dropped_rows=0 if said is None else said.dropped_rows,
    )
