"""What is known of a version beside the active one, from stored scores and people's judgements."""

from orchestrator.comparison.compare import compare
from orchestrator.comparison.estimate import Estimate
from orchestrator.rollout.guard import Measured
from orchestrator.settings import Settings
from orchestrator.store import shadows
from orchestrator.store.models import VersionRow
from orchestrator.store.unit_of_work import Store

NEWEST = 5_000
"""Images that quality is measured on, at most: the newest, which is what comes."""


async def measure(store: Store, settings: Settings, active: VersionRow, other: VersionRow) -> Measured:
    """Compare two versions on the images that both have looked at. Takes some seconds for the most that are
    taken. Raises StoreUnavailable."""
    both = await store.read(lambda tx: shadows.seen_by_both(tx, active.id, other.id))
    found = await compare(store, settings, active.name, active.version, other.version, images=NEWEST, shown=0)
    f1 = None if found.f1_m is None or found.f1_n is None else (found.f1_m.value, found.f1_n.value)
    return Measured(images=both, judged=found.judged, f1=f1, change=_interval(found.f1_difference))


def _interval(found: Estimate | None) -> tuple[float, float] | None:
    if found is None or found.low is None or found.high is None:
        return None
    return found.low, found.high
