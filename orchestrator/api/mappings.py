"""Mappings of external tags for engineers: look, change, and be told what to change."""

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict
from typing import TypeVar

import anyio.to_thread

from mapping_tools.coverage import measure
from mapping_tools.rows import BadMappingFile
from mapping_tools.rows import MappingRow as Row
from mapping_tools.service import ImportResult, import_rows
from mapping_tools.suggesting import suggest
from mapping_tools.validation import validate_stored
from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.api.problems import RequestRefused
from orchestrator.errors import StoreUnavailable
from orchestrator.records import Tag, TagMapping, as_probability, as_score
from orchestrator.store import mapping_history, mappings, tags
from orchestrator.store.mapping_history import MappingTarget
from orchestrator.store.transaction import Transaction
from orchestrator.wire.mappings import (
    CoverageQuery,
    FindingAnswer,
    MappingAnswer,
    MappingChangeAnswer,
    MappingChangePage,
    MappingChangesQuery,
    MappingCoverage,
    MappingFindings,
    MappingImport,
    MappingImportAnswer,
    MappingPage,
    MappingProposals,
    MappingsQuery,
    MappingTargetAnswer,
    ProposalAnswer,
    ProposalsQuery,
    ProposedMapping,
    UnknownTitle,
)
from orchestrator.wire.schemas import FieldError

T = TypeVar("T")

CURSOR = "mappings"
CHANGES_CURSOR = "mapping changes"
PATIENCE = 25.0
"""Seconds that what reads all of a board, or all predictions, may take; clients wait for thirty."""


async def list_mappings(call: Call) -> Reply:
    """List mappings."""
    query = call.query(MappingsQuery)
    after = pagination.decode(query.cursor, CURSOR, 1)

    async def read(tx: Transaction) -> tuple[tuple[TagMapping, ...], dict[int, Tag]]:
        found = await mappings.list_mappings(
            tx, source=query.source, after_id=0 if after is None else after[0], limit=query.limit + 1
        )
        return found, await tags.by_ids(tx, {one.tag_id for one in found if one.tag_id is not None})

    found, named = await call.read(read)
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        200,
        MappingPage(
            items=tuple(_mapping(one, named) for one in page),
            next_cursor=pagination.encode(CURSOR, page[-1].id) if more else None,
        ),
    )


async def import_mappings(call: Call) -> Reply:
    """Make mappings, all of them or none, or say what that would change."""
    body = await call.json(MappingImport)
    rows = [
        Row(
            line=place,
            source=row.source,
            external_tag=row.external_tag,
            action=row.action,
            title=row.title,
            tag_type=row.type,
            weight=as_score(row.weight),
        )
        for place, row in enumerate(body.rows)
    ]
    store = call.resources.store
    try:
        result = await import_rows(store, rows, apply=body.apply, replace=body.replace, actor_id=call.user.id)
    except BadMappingFile as error:
        looked = await import_rows(store, rows, apply=False)
        wrong = [
            FieldError(pointer=f"/rows/{one.row.line}/title", detail=one.explained)
            for one in looked.plan.unknown
        ]
        detail = "titles are unknown, so nothing was changed"
        raise RequestRefused(422, error.code, detail, errors=wrong) from error
    return Reply(200, _imported(result))


async def remove_mapping(call: Call) -> Reply:
    """Remove a mapping."""

    async def work(tx: Transaction) -> MappingAnswer:
        found = await mappings.get(tx, call.mapping_id)
        named = await tags.by_ids(tx, set() if found.tag_id is None else {found.tag_id})
        await mappings.delete_many(tx, [(found.source, found.external_tag)], actor_id=call.user.id)
        return _mapping(found, named)

    return Reply(200, await call.resources.store.write(work))


async def list_changes(call: Call) -> Reply:
    """List who changed which mapping when."""
    query = call.query(MappingChangesQuery)
    before = pagination.decode(query.cursor, CHANGES_CURSOR, 1)
    found = await call.read(
        lambda tx: mapping_history.list_changes(
            tx,
            external_tag=query.external_tag,
            source=query.source,
            before_id=None if before is None else before[0],
            limit=query.limit + 1,
        )
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        200,
        MappingChangePage(
            items=tuple(
                MappingChangeAnswer(
                    id=one.id,
                    at=one.at,
                    actor=one.actor,
                    source=one.source,
                    external_tag=one.external_tag,
                    before=_target(one.before),
                    after=_target(one.after),
                )
                for one in page
            ),
            next_cursor=pagination.encode(CHANGES_CURSOR, page[-1].id) if more else None,
        ),
    )


async def validate_mappings(call: Call) -> Reply:
    """Say which mappings need a person."""
    found = await _patiently(validate_stored(call.resources.store, call.resources.settings))
    items = tuple(FindingAnswer(**asdict(one)) for one in found)
    return Reply(200, MappingFindings(items=items, next_cursor=None))


async def suggest_mappings(call: Call) -> Reply:
    """Propose tags for names without a mapping."""
    query = call.query(ProposalsQuery)
    found = await _patiently(
        suggest(call.resources.store, call.resources.settings, run=anyio.to_thread.run_sync)
    )
    good = [one for one in found if one.proposals and one.score >= query.min_score]
    return Reply(
        200,
        MappingProposals(
            items=tuple(
                ProposedMapping(
                    source=one.source,
                    external_tag=one.external.name,
                    category=one.external.category,
                    proposals=tuple(
                        ProposalAnswer(tag=answers.tag(p.tag), score=p.score, reasons=p.reasons)
                        for p in one.proposals
                    ),
                )
                for one in good[: query.limit]
            ),
            next_cursor=None,
            unmapped=len(found),
        ),
    )


async def show_coverage(call: Call) -> Reply:
    """Say how much of what the models say is mapped, and what is worth mapping next."""
    query = call.query(CoverageQuery)
    found = asdict(await _patiently(measure(call.resources.store, call.resources.settings)))
    found["unmapped"] = found["unmapped"][: query.limit]
    return Reply(200, MappingCoverage(**found))


async def _patiently(work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE):
            return await work
    except TimeoutError as error:
        raise StoreUnavailable(f"this took more than {PATIENCE:g} s: ask by the command line") from error


def _mapping(found: TagMapping, named: dict[int, Tag]) -> MappingAnswer:
    return MappingAnswer(
        id=found.id,
        source=found.source,
        external_tag=found.external_tag,
        action=found.action,
        tag=None if found.tag_id is None else answers.tag(named[found.tag_id]),
        weight=as_probability(found.weight),
    )


def _target(found: MappingTarget | None) -> MappingTargetAnswer | None:
    if found is None:
        return None
    return MappingTargetAnswer(
        action=found.action, tag_id=found.tag_id, title=found.title, weight=as_probability(found.weight)
    )


def _imported(result: ImportResult) -> MappingImportAnswer:
    plan = result.plan
    return MappingImportAnswer(
        new=tuple(one.row.external_tag for one in plan.new),
        existing=tuple(one.row.external_tag for one in plan.existing),
        conflicting=tuple(one.target.row.external_tag for one in plan.conflicting),
        unknown=tuple(
            UnknownTitle(
                row=one.row.line,
                external_tag=one.row.external_tag,
                title=one.row.title or "",
                problem=one.problem,
                nearest=one.nearest,
            )
            for one in plan.unknown
        ),
        written=result.written,
    )
