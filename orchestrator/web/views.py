"""What the image page shows: suggestions in groups, who else was here, and where to go next."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator import accounts
from orchestrator.records import Image, SuggestionStatus, SuggestionView, Tag, User
from orchestrator.store import batches, exposures, images, pending, suggestions, tags
from orchestrator.store.transaction import Transaction
from orchestrator.web.words import GROUPS

PLACE = "desk"
_ORDER = {SuggestionStatus.PENDING: 0, SuggestionStatus.APPROVED: 1}


@dataclass(frozen=True, slots=True)
class Group:
    """The suggestions of one tag type, pending ones first, surest first."""

    kind: str
    title: str
    suggestions: tuple[SuggestionView, ...]


@dataclass(frozen=True, slots=True)
class ImageView:
    """One image for one reviewer. `newer` and `older`: the next images with pending suggestions.

    `undoable`: how many of the reviewer's own decisions on it would be taken back next.
    """

    image: Image
    groups: tuple[Group, ...]
    applied: tuple[Tag, ...]
    newer: int | None
    older: int | None
    undoable: int

    @property
    def suggestions(self) -> tuple[SuggestionView, ...]:
        """Every suggestion, in the order of the page."""
        return tuple(one for group in self.groups for one in group.suggestions)

    @property
    def pending(self) -> tuple[SuggestionView, ...]:
        """What is still to be decided, in the order of the page."""
        return tuple(one for one in self.suggestions if one.status is SuggestionStatus.PENDING)

    @property
    def decided(self) -> int:
        """How many suggestions have been decided, by people or as a consequence."""
        return len(self.suggestions) - len(self.pending)


async def image_view(tx: Transaction, user: User, image_id: int, *, shown: bool) -> ImageView:
    """Load an image for its reviewer; with `shown`, note its pending suggestions as shown.

    Raises NotFound, Forbidden.
    """
    image = await images.get(tx, image_id)
    accounts.require_review(user, image.uploader_id)
    found = await suggestions.for_image(tx, image_id, frozenset(SuggestionStatus))
    newer, older = await pending.neighbours(tx, image_id, uploader_id=only_own(user))
    latest = await batches.latest_on(tx, image_id, user.id)
    view = ImageView(
        image=image,
        groups=_groups(found),
        applied=tuple(sorted(await tags.applied(tx, image_id), key=lambda tag: tag.title)),
        newer=newer,
        older=older,
        undoable=0 if latest is None else len(latest[1]),
    )
    if shown:
        await exposures.record(
            tx, user_id=user.id, place=PLACE, shown=[(one.id, one.version) for one in view.pending]
        )
    return view


def only_own(user: User) -> int | None:
    """Return whose images alone this person may review; `None` for everybody's."""
    return None if accounts.may(user.role, accounts.Action.REVIEW_ANY) else user.id


def _groups(found: Sequence[SuggestionView]) -> tuple[Group, ...]:
    groups = []
    for kind, title in GROUPS.items():
        ours = [one for one in found if one.tag.type is kind]
        ours.sort(key=lambda one: (_ORDER.get(one.status, 2), -one.confidence, one.id))
        if ours:
            groups.append(Group(kind, title, tuple(ours)))
    return tuple(groups)
