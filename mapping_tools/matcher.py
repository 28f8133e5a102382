"""Which board tag an external tag may mean: pure, over all titles of a board, with a score and the reasons.

What is alike but for underscores, case, punctuation, spelling, plural, writing together or word order is
found by two keys in tables; only a name that finds nothing so is compared with titles that share trigrams.
Scores are not probabilities: they put proposals in the order in which a person would believe them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from mapping_tools.names import Step, agreement, keys, stems, unqualified, words
from mapping_tools.trigrams import TrigramIndex
from orchestrator.records import LabelCategory, Tag, TagType

_SCORES: Mapping[Step, float] = {
    Step.EXACT: 1.0,
    Step.UNDERSCORES: 0.99,
    Step.CASE: 0.98,
    Step.PUNCTUATION: 0.96,
    Step.SPELLING: 0.95,
    Step.PLURAL: 0.94,
    Step.WRITTEN_TOGETHER: 0.93,
    Step.WORD_ORDER: 0.90,
    Step.ROMANISATION: 0.88,
}
_TYPES: Mapping[LabelCategory, TagType] = {
    LabelCategory.GENERAL: TagType.THEME,
    LabelCategory.CHARACTER: TagType.CHARACTER,
}
_ALIAS = 0.01
_OTHER_TYPE = 0.35
_NOT_UNIQUE = 0.15
_SURE = 0.9
"""From this score on, nothing is looked for that is merely alike."""
_LIKENESS = 0.45
_LIKE_WORD = 0.8
_SHORTEST_TYPO = 5
_FUZZY_CANDIDATES = 12
# What is merely alike, by whether another word of the name is the same: an English word a letter from another
# ("crowd", "crown") is hardly ever the same one.
_ALIKE_IN_PART = (0.55, 0.25)
_ALIKE_ALONE = (0.3, 0.4)


@dataclass(frozen=True, slots=True)
class ExternalTag:
    """A label's name and what it speaks of."""

    name: str
    category: LabelCategory


@dataclass(frozen=True, slots=True)
class Proposal:
    """A board tag, canonical, that an external tag may mean. `score`: 0 to 1; `reasons`: for a person."""

    tag: Tag
    score: float
    reasons: tuple[str, ...]


class Matcher:
    """Proposals for the names of one vocabulary on one board. Building takes seconds for 200,000 titles."""

    def __init__(
        self,
        tags: Sequence[Tag],
        character_sources: Iterable[tuple[int, int]],
        vocabulary: Iterable[ExternalTag],
    ) -> None:
        """`character_sources`: (character, source) tag ids. `vocabulary`: all that the models can say, for
        what one name means depends on which others there are."""
        self._tags = {tag.id: tag for tag in tags}
        self._names = frozenset(tag.name for tag in vocabulary)
        self._bases = Counter(unqualified(name).base for name in self._names)
        self._by_key: dict[str, list[Tag]] = {}
        self._sources = _Sources(self._tags, character_sources)
        for tag in tags:
            bare = unqualified(tag.title).base
            for key in {*keys(tag.title), *keys(bare)}:
                self._by_key.setdefault(key, []).append(tag)
        known = Counter(word for name in self._names for word in set(stems(name)))
        self._fuzzy = {
            kind: _Fuzzy([tag for tag in tags if tag.type is kind], known) for kind in _TYPES.values()
        }

    def propose(self, external: ExternalTag, *, limit: int = 3) -> tuple[Proposal, ...]:
        """Return up to `limit` proposals, each tag once, the best first."""
        wanted = _TYPES.get(external.category, TagType.THEME)
        best: dict[int, Proposal] = {}
        for proposal in self._alike(external, wanted):
            _keep(best, proposal)
        if not any(one.score >= _SURE for one in best.values()) and not unqualified(external.name).qualifiers:
            for tag, score in self._fuzzy[wanted].of(external.name):
                _keep(best, self._canonical(tag, score, (f"alike: {tag.title!r}",)))
        ranked = sorted(best.values(), key=lambda one: (-one.score, one.tag.id))
        return tuple(_weighed(ranked)[:limit])

    def _alike(self, external: ExternalTag, wanted: TagType) -> Iterable[Proposal]:
        name = external.name
        found = {
            tag.id: tag
            for key in {*keys(name), *keys(unqualified(name).base)}
            for tag in self._by_key.get(key, ())
        }
        for tag in found.values():
            judged = self._judge(name, tag)
            if judged is None:
                continue
            score, reasons = judged
            if tag.type is not wanted:
                score, reasons = score - _OTHER_TYPE, (*reasons, f"a {tag.type}, not a {wanted}")
            yield self._canonical(tag, score, reasons)

    def _judge(self, name: str, tag: Tag) -> tuple[float, tuple[str, ...]] | None:
        """Return score and reasons for taking `name` to mean a tag that shares a key with it; None for no."""
        whole = _agreed(name, tag.title, tag.type)
        if whole is not None:
            return whole
        ours, theirs = unqualified(name), unqualified(tag.title)
        bare = _agreed(ours.base, theirs.base, tag.type)
        if bare is None:
            return None
        score, reasons = bare
        if not ours.qualifiers:
            return score - 0.3, (*reasons, f"without ({', '.join(theirs.qualifiers)})")
        series = ours.qualifiers[-1]
        # "bow" beside "bow_(weapon)", or two of one base: the qualifier is there to tell them apart.
        told_apart = ours.base in self._names or self._bases[ours.base] > 1
        if len(ours.qualifiers) > 1:
            return score - 0.4, (*reasons, f"only without ({', '.join(ours.qualifiers)})")
        verdict = self._sources.verdict(series, tag, theirs.qualifiers)
        if verdict is True:
            return score - 0.05, (*reasons, f"its source is {series}")
        if verdict is False:
            return score - 0.5, (*reasons, f"its source is not {series}")
        if told_apart:
            return score - 0.4, (*reasons, f"({series}) tells it from others")
        cost = 0.1 if tag.type is TagType.THEME or self._sources.knows(series) else 0.3
        return score - cost, (*reasons, f"without ({series})")

    def _canonical(self, tag: Tag, score: float, reasons: tuple[str, ...]) -> Proposal:
        if tag.alias_of is None or tag.alias_of not in self._tags:
            return Proposal(tag, round(score, 4), reasons)
        meant = self._tags[tag.alias_of]
        return Proposal(meant, round(score - _ALIAS, 4), (*reasons, f"alias {tag.title!r}"))


class _Sources:
    """What is known of the works that characters are from."""

    def __init__(self, tags: Mapping[int, Tag], pairs: Iterable[tuple[int, int]]) -> None:
        titles: dict[int, list[frozenset[str]]] = {}
        self._all: set[frozenset[str]] = set()
        for tag in tags.values():
            if tag.type is TagType.SOURCE:
                said = frozenset(words(tag.title))
                titles.setdefault(tag.id if tag.alias_of is None else tag.alias_of, []).append(said)
                self._all.add(said)
        self._of: dict[int, list[frozenset[str]]] = {}
        for character, source in pairs:
            self._of.setdefault(character, []).extend(titles.get(source, ()))
        self._known_words = frozenset(word for said in self._all for word in said)

    def knows(self, series: str) -> bool:
        """Whether all words of a qualifier stand in titles of sources."""
        said = words(series)
        return bool(said) and all(word in self._known_words for word in said)

    def verdict(self, series: str, tag: Tag, qualifiers: Sequence[str]) -> bool | None:
        """Whether a tag is of a series: by its sources or its own qualifiers; None when neither is known."""
        said = frozenset(words(series))
        character = tag.id if tag.alias_of is None else tag.alias_of
        known = [*self._of.get(character, ()), *(frozenset(words(one)) for one in qualifiers)]
        if not known or not said:
            return None
        return any(said <= title or title <= said for title in known)


class _Fuzzy:
    """Tags of one type whose titles differ from a name by slips of the pen."""

    def __init__(self, tags: Sequence[Tag], known: Counter[str]) -> None:
        self._tags = [tag for tag in tags if stems(tag.title)]
        self._stems = [stems(tag.title) for tag in self._tags]
        self._index = TrigramIndex([" ".join(one) for one in self._stems])
        # A word that others use, too, is a word and no slip: "skirt" is not a misspelt "shirt".
        ours = Counter(word for one in self._stems for word in set(one))
        self._known = {word for word, count in (ours + known).items() if count > 1}

    def of(self, name: str) -> Iterable[tuple[Tag, float]]:
        """Yield tags with scores of 0 to 1."""
        asked = stems(name)
        if not asked:
            return
        near = self._index.nearest(" ".join(asked), limit=_FUZZY_CANDIDATES, at_least=_LIKENESS)
        for position, _ in near:
            score = self._compare(asked, self._stems[position])
            if score is not None:
                yield self._tags[position], score

    def _compare(self, asked: tuple[str, ...], title: tuple[str, ...]) -> float | None:
        rest = list((Counter(title) - Counter(asked)).elements())
        typed = list((Counter(asked) - Counter(title)).elements())
        if len(rest) != len(typed) or not rest:
            return None
        worst = 1.0
        for one in typed:
            if len(one) < _SHORTEST_TYPO or one in self._known:
                return None
            likeness, other = max((SequenceMatcher(None, one, word).ratio(), word) for word in rest)
            # More than a letter more is another word: "sweat" is no misspelt "sweater".
            if likeness < _LIKE_WORD or abs(len(one) - len(other)) > 1:
                return None
            rest.remove(other)
            worst = min(worst, likeness)
        least, gain = _ALIKE_ALONE if len(typed) == len(asked) else _ALIKE_IN_PART
        return least + gain * worst


def _agreed(one: str, other: str, kind: TagType) -> tuple[float, tuple[str, ...]] | None:
    steps = agreement(one, other)
    if steps is None:
        return None
    # Long vowels are a matter of Japanese names; in English, "boot" and "bot" are two words.
    if steps[-1] is Step.ROMANISATION and kind is not TagType.CHARACTER:
        return None
    return _SCORES[steps[-1]], tuple(step.name.lower().replace("_", " ") for step in steps)


def _keep(best: dict[int, Proposal], proposal: Proposal) -> None:
    known = best.get(proposal.tag.id)
    if known is None or proposal.score > known.score:
        best[proposal.tag.id] = proposal


def _weighed(ranked: Sequence[Proposal]) -> list[Proposal]:
    """Doubt the first where the second is as good."""
    if len(ranked) > 1 and ranked[0].score - ranked[1].score < 0.03:
        first, second = ranked[0], ranked[1]
        if first.score < 1:
            doubt = f"or {second.tag.title!r} ({second.tag.type})"
            doubted = replace(
                first, score=round(first.score - _NOT_UNIQUE, 4), reasons=(*first.reasons, doubt)
            )
            return [doubted, *ranked[1:]]
    return list(ranked)
