"""What is known of a version beside the active one."""

from orchestrator.rollout.guard import Measured
from orchestrator.settings import Settings
from orchestrator.store import shadows
from orchestrator.store.models import VersionRow
from orchestrator.store.unit_of_work import Store


async def measure(store: Store, settings: Settings, active: VersionRow, other: VersionRow) -> Measured:
    """Compare two versions on the images that both have looked at. Raises StoreUnavailable."""
    return Measured(images=await store.read(lambda tx: shadows.seen_by_both(tx, active.id, other.id)))
