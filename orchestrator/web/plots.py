"""Where the lines of a plot go: pure. The templates draw them as SVG: no script, no library."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator.comparison.drift import STEPS
from orchestrator.comparison.estimate import Estimate
from orchestrator.comparison.report import CategoryDrift, Curve, CurvePoint

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 34, 350, 10, 180
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
SPAN = 300
"""Width of an interval's plot."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a curve. `side`: m or n; `what`: precision or recall; `points`: x,y pairs, a text for each
    stretch without a gap."""

    side: str
    what: str
    points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class CurvePlot:
    """Precision and recall by threshold. `title`: of which tags."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram, and what it says when pointed at. `side`: m where M's score is the higher."""

    x: float
    y: float
    width: float
    height: float
    side: str
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """How far scores moved."""

    title: str
    bars: tuple[Bar, ...]
    across: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Whisker:
    """A number and its interval along an axis of SPAN; without interval `low` and `high` are `at`."""

    at: float
    low: float
    high: float


def curve_plot(curve: Curve) -> CurvePlot:
    """Lay out a curve."""
    measures: tuple[tuple[str, str, Callable[[CurvePoint], float | None]], ...] = (
        ("m", "precision", lambda point: point.precision_m),
        ("m", "recall", lambda point: point.recall_m),
        ("n", "precision", lambda point: point.precision_n),
        ("n", "recall", lambda point: point.recall_n),
    )
    return CurvePlot(
        title="All tags" if curve.type is None else f"{curve.type.capitalize()} tags",
        lines=tuple(
            Line(side, what, _stretches((point.threshold, measure(point)) for point in curve.points))
            for side, what, measure in measures
        ),
        across=tuple(Tick(_x(at), f"{at:g}") for at in TICKS),
        up=tuple(Tick(_y(at), f"{at:g}") for at in TICKS),
    )


def histogram(found: CategoryDrift) -> Histogram:
    """Lay out a category's drift. Heights are by the root of the amounts: most scores hardly move, and one
    wants to see those that do."""
    most = max(found.histogram, default=0) or 1
    width = (RIGHT - LEFT) / STEPS
    bars = []
    for step, amount in enumerate(found.histogram):
        height = (BOTTOM - TOP) * (amount / most) ** 0.5
        low = -1 + 2 * step / STEPS
        bars.append(
            Bar(
                x=round(LEFT + step * width + 0.5, 2),
                y=round(BOTTOM - height, 2),
                width=round(width - 1, 2),
                height=round(height, 2),
                side="m" if low < 0 else "n",
                text=f"{low:+.2f} to {low + 2 / STEPS:+.2f}: {amount:,}",
            )
        )
    return Histogram(
        title=f"{found.category.capitalize()} labels",
        bars=tuple(bars),
        across=tuple(Tick(_x((at + 1) / 2), f"{at:+g}" if at else "0") for at in (-1.0, -0.5, 0.0, 0.5, 1.0)),
    )


def whisker(estimate: Estimate | None, *, around: float = 0.0) -> Whisker | None:
    """Lay out a number of 0 … 1; with `around`, one of -`around` … `around`, beyond that at the ends."""
    if estimate is None:
        return None
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return Whisker(*(_along(one, around) for one in (estimate.value, low, high)))


def _along(value: float, around: float) -> float:
    share = (value + around) / (2 * around) if around else value
    return round(min(1.0, max(0.0, share)) * SPAN, 1)


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 2)


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 2)


def _stretches(points: Iterable[tuple[float, float | None]]) -> tuple[str, ...]:
    """Return polylines' points; where nothing is known there is a gap."""
    found: list[list[str]] = [[]]
    for across, up in points:
        if up is None:
            found.append([])
        else:
            found[-1].append(f"{_x(across)},{_y(up)}")
    return tuple(" ".join(_drawn(one)) for one in found if one)


def _drawn(stretch: Sequence[str]) -> Sequence[str]:
    """A single point is drawn as a line to itself: round ends make it a dot."""
    return stretch if len(stretch) > 1 else [*stretch, *stretch]
