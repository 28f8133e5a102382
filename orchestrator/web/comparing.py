"""The pages for engineers: which versions there are, and two of them beside each other."""

from starlette.responses import Response

from orchestrator import accounts
from orchestrator.accounts import Action
from orchestrator.comparison.asking import Asked
from orchestrator.comparison.estimate import Estimate
from orchestrator.errors import Forbidden
from orchestrator.records import VersionState
from orchestrator.store import images, models
from orchestrator.store.models import VersionRow
from orchestrator.web import paths, plots
from orchestrator.web.pictures import serve_preview
from orchestrator.web.visit import Visit

SAMPLES = (200, 1_000, 5_000)
PICTURES = 24
TAGS = 40


async def versions(visit: Visit) -> Response:
    """List the versions of every model, each with what it can be compared with."""
    _require_engineer(visit)
    found: dict[str, list[VersionRow]] = {}
    for row in await visit.read(models.list_versions):
        if row.state is not VersionState.REMOVED:
            found.setdefault(row.name, []).append(row)
    active = {
        name: row.version for name, rows in found.items() for row in rows if row.state is VersionState.ACTIVE
    }
    return visit.page("models.html", models=found, active=active)


async def compare(visit: Visit) -> Response:
    """Show two versions beside each other."""
    _require_engineer(visit)
    name, m, n = paths.compared_versions(visit.request)
    wanted = visit.request.query_params.get("images", "")
    sample = int(wanted) if wanted in {str(one) for one in SAMPLES} else SAMPLES[1]
    asked = Asked(name, m, n, images=sample, shown=PICTURES)
    found = await visit.resources.comparisons.ask(asked)
    qualities = [
        (title, getattr(found.paired.m, what), getattr(found.paired.n, what))
        for title, what in (
            ("Precision", "precision"),
            ("Recall", "recall"),
            ("Recall, unprompted", "unprompted"),
            ("F1", "f1"),
        )
    ]
    return visit.page(
        "compare.html",
        found=found,
        sample=sample,
        samples=SAMPLES,
        qualities=qualities,
        verdict=_verdict(found.f1_difference),
        # Where all tags are of one type, its curve says the same again.
        curves=[plots.curve_plot(one) for one in found.curves[: 1 if len(found.types) == 1 else None]],
        histograms=[plots.histogram(one) for one in found.categories if one.drift.pairs],
        tags=found.tags[:TAGS],
        labels=found.labels[:TAGS],
        whisker=plots.whisker,
    )


async def preview(visit: Visit) -> Response:
    """Send a small picture of any image: engineers see what the models see."""
    _require_engineer(visit)
    image = await visit.read(lambda tx: images.get(tx, visit.image_id))
    return await serve_preview(visit.resources, image, visit.request)


def _verdict(difference: Estimate | None) -> tuple[str, str]:
    """Return what the difference of F1 says, and whether that is good, bad or neither."""
    if difference is None:
        return "Nobody has judged enough of these images to say which is better.", "warn"
    if difference.low is None or difference.high is None:
        return "Too few images are judged to say which is better.", "warn"
    if difference.low > 0:
        return "N is better than M on these images, as far as people have judged them.", "good"
    if difference.high < 0:
        return "N is worse than M on these images, as far as people have judged them.", "bad"
    return "No sure difference between M and N on these images.", "warn"


def _require_engineer(visit: Visit) -> None:
    if not accounts.may(visit.user.role, Action.MANAGE_MODELS):
        raise Forbidden(f"The role “{visit.user.role}” has nothing to do with models.", code="role_forbids")
