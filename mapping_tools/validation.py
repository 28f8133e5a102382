"""What is wrong with the mappings that are stored, compared with the board and the models' names."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mapping_tools import vocabularies
from mapping_tools.names import Step, agreement, keys, words
from orchestrator.records import MappingAction, MappingFault, Tag, TagMapping
from orchestrator.settings import Settings
from orchestrator.store import mappings as stored_mappings
from orchestrator.store import models
from orchestrator.store import tags as stored_tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """A mapping that needs a person; `detail` says why and what to do."""

    source: str
    external_tag: str
    fault: MappingFault
    detail: str


def validate(
    mappings: Iterable[TagMapping], tags: Iterable[Tag], vocabularies: Mapping[str, Collection[str]]
) -> tuple[Finding, ...]:
    """Return what is wrong, by source and name. `vocabularies`: the names of the active versions by source.

    Two mappings contradict each other when the same name, or two spellings of it, lead to different tags or
    to a tag and to nothing.
    """
    by_id = {tag.id: tag for tag in tags}
    stored = sorted(mappings, key=lambda mapping: (mapping.source, mapping.external_tag))
    known = {source: frozenset(names) for source, names in vocabularies.items()}
    findings: list[Finding] = []
    for mapping in stored:
        findings += _alone(mapping, by_id, known)
    by_key: dict[str, list[TagMapping]] = {}
    for mapping in stored:
        by_key.setdefault(keys(mapping.external_tag)[0], []).append(mapping)
    for group in by_key.values():
        findings += _together(group, by_id)
    return tuple(sorted(findings, key=lambda one: (one.source, one.external_tag, one.fault)))


def _alone(
    mapping: TagMapping, by_id: Mapping[int, Tag], known: Mapping[str, frozenset[str]]
) -> Iterable[Finding]:
    def finding(fault: MappingFault, detail: str) -> Finding:
        return Finding(mapping.source, mapping.external_tag, fault, detail)

    if mapping.external_tag not in known.get(mapping.source, frozenset()):
        yield finding(MappingFault.UNKNOWN_NAME, f"no active version of {mapping.source} says this name")
    if mapping.tag_id is None:
        return
    tag = by_id.get(mapping.tag_id)
    if tag is None:
        yield finding(MappingFault.TAG_GONE, f"the tag {mapping.tag_id} is not on the board: map it anew")
    elif tag.alias_of is not None:
        canonical = by_id.get(tag.alias_of)
        meant = "a tag that is gone" if canonical is None else repr(canonical.title)
        yield finding(MappingFault.TAG_IS_ALIAS, f"{tag.title!r} is an alias of {meant}: name that instead")


def _together(group: list[TagMapping], by_id: Mapping[int, Tag]) -> Iterable[Finding]:
    """Compare the mappings whose names share a key, each with those before it."""
    for number, mapping in enumerate(group):
        for other in group[:number]:
            if _same_name(mapping.external_tag, other.external_tag) and _target(mapping, by_id) != _target(
                other, by_id
            ):
                against = f"{other.source}'s {other.external_tag} {_said(other, by_id)}"
                detail = f"{_said(mapping, by_id)}, but {against}"
                yield Finding(mapping.source, mapping.external_tag, MappingFault.CONTRADICTION, detail)
                break


def _same_name(one: str, other: str) -> bool:
    # Emoticons that differ in a letter's case (":d", ":D") are different names.
    if not words(one):
        return one == other
    steps = agreement(one, other)
    return steps is not None and steps[-1] <= Step.SPELLING


def _target(mapping: TagMapping, by_id: Mapping[int, Tag]) -> int | None:
    """Return the canonical tag's id; None for `ignore`."""
    tag = None if mapping.tag_id is None else by_id.get(mapping.tag_id)
    return mapping.tag_id if tag is None else (tag.alias_of or tag.id)


def _said(mapping: TagMapping, by_id: Mapping[int, Tag]) -> str:
    if mapping.action is MappingAction.IGNORE:
        return "is ignored"
    tag = None if mapping.tag_id is None else by_id.get(mapping.tag_id)
    return f"becomes {tag.title!r}" if tag is not None else f"becomes the missing tag {mapping.tag_id}"


async def validate_stored(store: Store, settings: Settings) -> tuple[Finding, ...]:
    """Return what is wrong with the mappings of an installation."""

    async def read(tx: Transaction) -> tuple[Finding, ...]:
        names = vocabularies.of_models(await models.active(tx, settings))
        stored = await stored_mappings.load_all(tx)
        spoken = {source: [tag.name for tag in known] for source, known in names.items()}
        return validate(stored, await stored_tags.load_all(tx), spoken)

    return await store.read(read)
