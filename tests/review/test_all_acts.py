"""Everything that people and machines may do to suggestions, all at once: the invariants hold all the
same."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import TITLES, SmallBoard

from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.records import (
    Decision,
    Eligibility,
    SuggestionStatus,
    UndoneAs,
    UndoOutcome,
    User,
    VerdictOutcome,
    VerdictRequest,
)
from orchestrator.review import bulk, bulk_undo, leases
from orchestrator.review.bulk import BulkOrder
from orchestrator.review.confirmation import Confirmations
from orchestrator.review.eligibility import set_eligibility
from orchestrator.review.jobs import JobRunner
from orchestrator.review.queues import QueueRequest
from orchestrator.review.service import review_many
from orchestrator.review.statistics import Summer
from orchestrator.review.tag_edits import Aligner, TagEdit, edit_tag
from orchestrator.review.tagging import TagChange, TagNames, change_tags
from orchestrator.store import batches, consistency, rules
from orchestrator.tagging.plan import TaggingPlan

pytestmark = pytest.mark.anyio

IMAGES = 3
LABELS = ("hair", "long_hair", "very_long_hair", "smile", "blue_eyes")
EXPECTED = (
    *("alias_chain", "alias_in_hierarchy", "hierarchy_cycle"),
    *("selection_grew", "job_running", "undo_of_undo", "batch_not_found"),
)
"""What may be refused because of what others do meanwhile."""

titles = st.sampled_from(sorted(TITLES.values()))
images = st.integers(0, IMAGES - 1)
scores = st.dictionaries(st.sampled_from(LABELS), st.integers(4_000, 10_000), min_size=2)
steps = st.one_of(
    st.tuples(st.just("decide"), st.sampled_from(Decision), st.integers(0, 99)),
    st.tuples(st.just("decide"), st.sampled_from(Decision), st.integers(0, 99)),
    st.tuples(st.just("undo"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("bulk"), st.sampled_from(Decision), st.integers(1, 8_000)),
    st.tuples(st.just("tag"), st.tuples(images, titles), st.sampled_from(TagChange)),
    st.tuples(st.just("hide"), images, st.sampled_from(Eligibility)),
    st.tuples(st.just("alias"), titles, st.none() | titles),
    st.tuples(st.just("parent"), titles, st.none() | titles),
    st.tuples(st.just("analyse"), images, scores),
    st.tuples(st.just("lease"), titles, st.booleans()),
)
programs = st.lists(st.lists(steps, min_size=1, max_size=6), min_size=2, max_size=4)

Step = tuple[str, object, object]


@dataclass
class Town:
    """A board, its images, and what was acknowledged: (suggestion, version) of every verdict.

    `workers`: an image has one at a time.
    """

    board: SmallBoard
    images: Sequence[int]
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    workers: tuple[asyncio.Lock, ...] = field(
        default_factory=lambda: tuple(asyncio.Lock() for _ in range(IMAGES))
    )

    async def live(self, person: User, program: Sequence[Step]) -> None:
        """Do one thing after another, as far as the others let one."""
        for step in program:
            try:
                await self._do(person, step)
            except (InvalidInput, Conflict, NotFound) as error:
                assert error.code in EXPECTED, error
            await asyncio.sleep(0)

    async def _do(self, person: User, step: Step) -> None:
        store, board = self.board.store, self.board
        match step:
            case "decide", Decision() as decision, int(which):
                rows = [row for image in self.images for row in (await board.rows(image)).values()]
                open_rows = [row for row in rows if row.status is SuggestionStatus.PENDING]
                chosen = [open_rows[(which + n) % len(open_rows)] for n in range(2)] if open_rows else []
                wanted = {row.id: VerdictRequest(row.id, row.version, decision) for row in chosen}
                if wanted:
                    outcome = await review_many(store, person, [*wanted.values()])
                    self.acknowledged += [
                        (one.suggestion_id, one.version or 0)
                        for one in outcome.results
                        if one.outcome is VerdictOutcome.APPLIED
                    ]
            case "undo", int(back), bool(partly):
                known = await store.read(lambda tx: batches.of_user(tx, None, limit=back + 1))
                if len(known) > back:
                    only = None
                    if partly:
                        lines = await store.read(lambda tx: batches.standing(tx, known[back].id, self.images))
                        only = [line.suggestion_id for line in lines[:1]] or None
                    done = await bulk_undo.take_back(
                        store, board.moderator, known[back].id, suggestion_ids=only
                    )
                    if isinstance(done, UndoOutcome):
                        assert {one.outcome for one in done.results} <= set(UndoneAs)
            case "bulk", Decision() as decision, int(confidence):
                seal = Confirmations.from_settings(board.settings)
                order = BulkOrder(decision, min_confidence=confidence)
                look = await bulk.look(store, board.moderator, order, seal)
                if look.confirmation is not None:
                    await bulk.confirm(store, board.moderator, order, look.confirmation, seal)
            case "tag", (int(image), str(title)), TagChange() as change:
                names = TagNames(ids=(board.tags[title].id,))
                await change_tags(store, board.moderator, self.images[image], change, names)
            case "hide", int(image), Eligibility() as eligibility:
                plan = TaggingPlan.build(await store.read(lambda tx: rules.plan_inputs(tx, board.settings)))
                await set_eligibility(store, board.moderator, self.images[image], eligibility, plan)
            case "alias", str(title), of:
                target = None if of is None else board.tags[str(of)].id
                await edit_tag(store, board.moderator, board.tags[title].id, TagEdit(alias_of=target))
            case "parent", str(title), above:
                target = None if above is None else board.tags[str(above)].id
                await edit_tag(store, board.moderator, board.tags[title].id, TagEdit(parent_id=target))
            case "analyse", int(image), dict(found):
                async with self.workers[image]:
                    await board.analyse(self.images[image], found)
            case "lease", str(title), bool(whole):
                request = QueueRequest(tag_id=board.tags[title].id, limit=2)
                claimed = await leases.claim(store, person, request, whole_tag=whole, duration=60.0)
                if claimed.lease is not None:
                    await leases.release(store, person, claimed.lease.id)
            case other:
                raise AssertionError(other)


async def until_quiet(board: SmallBoard) -> None:
    """Let the keeper's parts finish what was left to them."""
    steps: list[Callable[[], Awaitable[int]]] = [
        JobRunner(board.store).work,
        Aligner(board.store).finish_changes,
        Summer(board.store).sum_up,
    ]
    while any([await step() for step in steps]):
        pass


async def reset(board: SmallBoard) -> None:
    """Undo what other examples did to the tags."""
    for title in TITLES.values():
        for change in (TagEdit(alias_of=None), TagEdit(parent_id=None)):
            await edit_tag(board.store, board.moderator, board.tags[title].id, change)
    for below, above in (("long hair", "hair"), ("very long hair", "long hair")):
        change = TagEdit(parent_id=board.tags[above].id)
        await edit_tag(board.store, board.moderator, board.tags[below].id, change)
    await until_quiet(board)


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs=programs, first=st.lists(scores, min_size=IMAGES, max_size=IMAGES))
async def test_whatever_everybody_does_at_once_the_invariants_hold(
    board: SmallBoard,
    monkeypatch: pytest.MonkeyPatch,
    programs: list[list[Step]],
    first: list[dict[str, int]],
) -> None:
    """Given images with suggestions, when several people decide, undo, decide by filter, tag, hide, change
    tags and hold leases while images are analysed anew and the keeper is at work, then every invariant holds,
    no acknowledged verdict is lost and none is there twice."""
    monkeypatch.setattr(bulk, "AT_ONCE", 3)
    monkeypatch.setattr(bulk_undo, "AT_ONCE", 3)
    monkeypatch.setattr(bulk_undo, "CHUNK", 1)
    await reset(board)
    before = await board.store.read(lambda tx: tx.fetch_rows("SELECT COALESCE(MAX(id), 0) FROM verdicts"))
    town = Town(board, [await board.suggested(found) for found in first])
    people = [board.tagger, board.moderator]
    over = asyncio.Event()

    async def keep() -> None:
        while not over.is_set():
            await until_quiet(board)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(keep())
        async with asyncio.TaskGroup() as lives:
            for number, program in enumerate(programs):
                lives.create_task(town.live(people[number % 2], program))
        over.set()
    await until_quiet(board)

    assert await board.store.read(consistency.violations) == ()
    logged = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT v.suggestion_id, v.to_version FROM verdicts v JOIN review_batches b ON b.id = v.batch_id"
            " WHERE v.decision IN ('approve', 'reject') AND b.kind = 'review' AND v.id > :before",
            before=before[0][0],
        )
    )
    assert Counter(town.acknowledged) == Counter(tuple(row) for row in logged)
