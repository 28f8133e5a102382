"""Whether what is known of a version is enough to promote it: pure."""

from dataclasses import dataclass

MIN_IMAGES = 500
MARGIN = 0.01


@dataclass(frozen=True, slots=True)
class Guard:
    """How many images both versions must have looked at, and how much of F1 (0 … 1) may be lost."""

    min_images: int = MIN_IMAGES
    margin: float = MARGIN


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a version beside the active one.

    `images`: that both looked at. `judged`: how many of those people have decided something on. `f1`: the
    active version's and its own on these, None where there is too little to say; `change`: a 95 % interval
    of its F1 less the active one's.
    """

    images: int
    judged: int = 0
    f1: tuple[float, float] | None = None
    change: tuple[float, float] | None = None

    def as_detail(self) -> dict[str, object]:
        """Return it as the audit log and events have it."""
        return {
            "images": self.images,
            "judged": self.judged,
            "f1": None if self.f1 is None else [round(one, 4) for one in self.f1],
            "change": None if self.change is None else [round(one, 4) for one in self.change],
        }


def faults(measured: Measured, guard: Guard) -> tuple[str, ...]:
    """Return what speaks against promoting, in words; nothing when nothing does.

    A loss counts only when it is sure: when all of the interval lies beyond the margin.
    """
    found = []
    if measured.images < guard.min_images:
        found.append(
            f"both versions have looked at {measured.images:,} images, {guard.min_images:,} are asked for"
        )
    if measured.change is not None and measured.f1 is not None and measured.change[1] < -guard.margin:
        before, after = measured.f1
        low, high = measured.change
        found.append(
            f"F1 against people's verdicts on {measured.judged:,} images is {after:.3f} instead of"
            f" {before:.3f} ({low:+.3f} to {high:+.3f}, at most -{guard.margin:g} is allowed)"
        )
    return tuple(found)
