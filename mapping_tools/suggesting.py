"""Proposals for what has no mapping yet, as a file that a person goes through and `import` reads."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mapping_tools import vocabularies
from mapping_tools.matcher import ExternalTag, Matcher, Proposal
from mapping_tools.rows import DEFAULT_SOURCE, NOTES, OPTIONAL, REQUIRED, MappingRow, fields, write_table
from orchestrator.records import SCORE_ONE, MappingAction, Tag
from orchestrator.settings import Settings
from orchestrator.store import hierarchy, mappings, models, tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

DEFAULT_MIN_SCORE = 0.75


@dataclass(frozen=True, slots=True)
class Suggested:
    """Proposals for one external tag, the best first; none when nothing on the board resembles it."""

    source: str
    external: ExternalTag
    proposals: tuple[Proposal, ...]

    @property
    def score(self) -> float:
        """The best proposal's, or 0."""
        return self.proposals[0].score if self.proposals else 0.0


@dataclass(frozen=True, slots=True)
class _Inputs:
    names: vocabularies.Names
    board: tuple[Tag, ...]
    sources: tuple[tuple[int, int], ...]
    mapped: frozenset[tuple[str, str]]


async def _at_once(work: Callable[[], tuple[Suggested, ...]]) -> tuple[Suggested, ...]:
    return work()


async def suggest(
    store: Store,
    settings: Settings,
    *,
    labels: Path | None = None,
    run: Callable[[Callable[[], tuple[Suggested, ...]]], Awaitable[tuple[Suggested, ...]]] = _at_once,
) -> tuple[Suggested, ...]:
    """Return proposals for every name without a mapping that an active version says, or that stands in a
    labels file; the best first.

    Takes seconds of one core on 10,000 names and 200,000 titles, which `run` may spend in a thread. Raises
    ManifestError for a bad labels file.
    """
    named = None if labels is None else vocabularies.of_file(labels)

    async def read(tx: Transaction) -> _Inputs:
        if named is None:
            names = vocabularies.of_models(await models.active(tx, settings))
        else:
            names = {DEFAULT_SOURCE: named}
        mapped = frozenset((one.source, one.external_tag) for one in await mappings.load_all(tx))
        return _Inputs(names, await tags.load_all(tx), await hierarchy.load_character_sources(tx), mapped)

    inputs = await store.read(read)
    return await run(lambda: _propose(inputs))


def _propose(inputs: _Inputs) -> tuple[Suggested, ...]:
    found = []
    for source, vocabulary in inputs.names.items():
        matcher = Matcher(inputs.board, inputs.sources, vocabulary)
        found += [
            Suggested(source, external, matcher.propose(external))
            for external in vocabulary
            if (source, external.name) not in inputs.mapped
        ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.source, one.external.name)))


def as_csv(found: Iterable[Suggested], *, min_score: float = DEFAULT_MIN_SCORE) -> str:
    """Return the best proposals of at least `min_score` as a file, with why and what else may be meant."""
    lines = []
    for line, one in enumerate((one for one in found if one.score >= min_score), start=2):
        best, *others = one.proposals
        row = MappingRow(
            line=line,
            source=one.source,
            external_tag=one.external.name,
            action=MappingAction.MAP,
            title=best.tag.title,
            tag_type=best.tag.type,
            weight=SCORE_ONE,
        )
        alternatives = "; ".join(
            f"{other.tag.title} ({other.tag.type}) {other.score:.2f}" for other in others
        )
        lines.append((*fields(row), f"{best.score:.2f}", ", ".join(best.reasons), alternatives))
    return write_table((*REQUIRED, *OPTIONAL, *NOTES), lines)
