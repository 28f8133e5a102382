"""`review_contention`: eight reviewers on one tag, and a re-analysis of the same images beside them."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from benchmarks.contended import Contended, build
from benchmarks.figures import Figures, percentile
from benchmarks.installation import INSTANCE, say
from benchmarks.own_board import OURS, apis, found
from benchmarks.plain_review import TRIGGER
from orchestrator.local.instance import Instance
from orchestrator.local.parts import SERVICES
from orchestrator.local.stack import Stack
from orchestrator.records import Analysis, ClaimedImage, Evidence, Priority, ProposedSuggestion, Resolution
from orchestrator.store import images, suggestions
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

REVIEWERS = 8
BATCH = 20
APIS = 2
PLAIN = "benchmarks.plain_review:create_plain_app"

_REANALYSED_AT_ONCE = 4


@dataclass
class Tally:
    """What the reviewers saw. `acknowledged`: suggestion ids that were answered as applied."""

    acknowledged: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    reanalysed: int = 0


async def review_contention(seconds: float) -> Figures:
    """Measure ours and the plain design, one after the other, each on a database of its own."""
    stack = Stack(Instance.named(INSTANCE), report=say)
    stack.up(SERVICES)
    try:
        ours, problems, retries = await _measure(stack, "review_ours", OURS, seconds)
        plain, _, plain_retries = await _measure(stack, "review_plain", PLAIN, seconds)
    finally:
        stack.down()
    rate, plain_rate = len(ours.acknowledged) / seconds, len(plain.acknowledged) / seconds
    return Figures(
        "review_contention",
        f"{REVIEWERS} reviewers in a closed loop, batches of {BATCH} on one tag, {APIS} API processes,"
        f" {seconds:g} s, re-analysis of the same images beside them",
        {
            "verdicts_per_s": round(rate, 1),
            "ratio": round(rate / max(plain_rate, 1e-9), 2),
            "p95_ms": round(percentile(ours.seconds, 95) * 1000, 1),
            "errors": ours.errors,
            **problems,
            "deadlock_retries": retries,
            "reanalysed": ours.reanalysed,
            "plain_verdicts_per_s": round(plain_rate, 1),
            "plain_p95_ms": round(percentile(plain.seconds, 95) * 1000, 1),
            "plain_errors": plain.errors,
            "plain_deadlock_retries": plain_retries,
        },
    )


async def _measure(
    stack: Stack, database: str, app: str, seconds: float
) -> tuple[Tally, dict[str, int], int]:
    own = await found(stack, database)
    store = await Store.connect(own.settings)
    try:
        say(f"{database}: filling")
        board = await build(store, images=int(seconds * 6000), reviewers=REVIEWERS)
        if app == PLAIN:
            for statement in TRIGGER:
                await store.write(lambda tx, s=statement: tx.execute(s))  # type: ignore[misc]
        async with apis(app, own.environment, count=APIS) as addresses:
            say(f"{database}: reviewing for {seconds:g} s")
            tally = await _review(store, board, addresses, seconds)
            retries = await _races(addresses)
        return tally, await _check(store, tally, board), retries
    finally:
        await store.close()


async def _review(store: Store, board: Contended, addresses: Sequence[str], seconds: float) -> Tally:
    tally = Tally()
    share = len(board.suggestions) // REVIEWERS
    end = time.perf_counter() + seconds
    beside = asyncio.create_task(_reanalyse(store, board, tally))
    async with asyncio.TaskGroup() as group:
        for number, token in enumerate(board.tokens):
            mine = board.suggestions[number * share : (number + 1) * share]
            address = addresses[number % len(addresses)]
            group.create_task(_reviewer(address, token, [row for row, _ in mine], tally, end))
    beside.cancel()
    with suppress(asyncio.CancelledError):
        await beside
    return tally


async def _reviewer(address: str, token: str, rows: Sequence[int], tally: Tally, end: float) -> None:
    """Approve batch after batch; a row that a re-analysis changed meanwhile is seen anew."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
        for start in range(0, len(rows) - BATCH, BATCH):
            if time.perf_counter() >= end:
                return
            versions = dict.fromkeys(rows[start : start + BATCH], 1)
            while versions and time.perf_counter() < end:
                began = time.perf_counter()
                decisions = [
                    {"suggestion_id": row, "version": version, "decision": "approve"}
                    for row, version in versions.items()
                ]
                answer = await client.post("/api/v1/tag-suggestions/review", json={"decisions": decisions})
                tally.seconds.append(time.perf_counter() - began)
                if answer.status_code not in (200, 409):
                    tally.errors += 1
                    break
                results = answer.json()["results"]
                tally.acknowledged += [r["suggestion_id"] for r in results if r["outcome"] == "applied"]
                versions = {
                    r["suggestion_id"]: r["version"]
                    for r in results
                    if r["outcome"] == "conflict" and r["status"] == "pending"
                }


async def _reanalyse(store: Store, board: Contended, tally: Tally) -> None:
    """Store analyses of the images that are being reviewed, over and over, with other scores each time."""
    share = len(board.suggestions) // REVIEWERS
    position = 0
    while True:
        chosen = [
            board.suggestions[(number * share + position) % len(board.suggestions)][1]
            for number in range(0, REVIEWERS, REVIEWERS // _REANALYSED_AT_ONCE)
        ]
        position += 7
        await store.write(lambda tx, ids=chosen: _requeue(tx, ids))  # type: ignore[misc]
        claimed = await store.write(lambda tx, ids=chosen: images.claim(tx, ids, lease=60.0))  # type: ignore[misc]
        for image in claimed:
            analysis, resolution = _outcome(board, image, position)
            await store.write(
                lambda tx, i=image, a=analysis, r=resolution: suggestions.persist(tx, i, a, r)  # type: ignore[misc]
            )
            tally.reanalysed += 1


async def _requeue(tx: Transaction, image_ids: Sequence[int]) -> None:
    for image_id in image_ids:
        await images.requeue(tx, image_id, explicit=False, priority=Priority.BACKFILL)


def _outcome(board: Contended, image: ClaimedImage, seed: int) -> tuple[Analysis, Resolution]:
    score = 5000 + (image.id * 31 + seed) % 5000
    proposal = ProposedSuggestion(
        tag_id=board.tag_id,
        score=score,
        confidence=score,
        model_source="danbooru",
        model_version_id=board.version_id,
        evidence=(Evidence(board.version_id, 0, "tag_0", None, score),),
    )
    analysis = Analysis(
        sha256="ab" * 32,
        width=500,
        height=500,
        has_alpha=False,
        media_type="image/jpeg",
        model_version_ids=(board.version_id,),
        raw=(),
        ratings=(),
    )
    return analysis, Resolution((proposal,), (), ())


async def _races(addresses: Sequence[str]) -> int:
    found = 0.0
    async with httpx.AsyncClient() as client:
        for address in addresses:
            text = (await client.get(f"{address}/metrics")).text
            found += sum(
                float(line.rpartition(" ")[2])
                for line in text.splitlines()
                if line.startswith("tagdesk_store_races_total")
            )
    return int(found)


async def _check(store: Store, tally: Tally, board: Contended) -> dict[str, int]:
    """Compare what was acknowledged with the log: every one there, and once."""

    async def read(tx: Transaction) -> dict[int, int]:
        rows = await tx.fetch_rows(
            "SELECT suggestion_id, COUNT(*) FROM verdicts WHERE decision = 'approve' AND tag_id = :tag"
            " GROUP BY suggestion_id",
            tag=board.tag_id,
        )
        return {row[0]: int(row[1]) for row in rows}

    logged = await store.read(read)
    acknowledged = set(tally.acknowledged)
    return {
        "lost": len(acknowledged - logged.keys()),
        "doubled": sum(amount > 1 for amount in logged.values())
        + len(tally.acknowledged)
        - len(acknowledged),
    }
