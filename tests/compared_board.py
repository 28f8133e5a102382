"""A small board on which version 2 of its model has looked beside version 1, and people have judged."""

from dataclasses import dataclass

from small_board import LABELS, SmallBoard, version

from orchestrator.comparison.compare import compare
from orchestrator.comparison.report import Comparison
from orchestrator.records import Decision, RejectReason, VerdictRequest, VersionState
from orchestrator.review.service import review
from orchestrator.store import links, models
from orchestrator.store.links import LinkOrigin
from orchestrator.store.transaction import Transaction

NUMBERS = {label.name: label.index for label in LABELS}

Scores = dict[str, int]


@dataclass
class ComparedBoard:
    """`first` and `second`: the ids of versions 1, which is active, and 2, which is staged."""

    board: SmallBoard
    second: int

    @classmethod
    async def build(cls, board: SmallBoard) -> "ComparedBoard":
        """Add version 2 to a board."""
        second = await board.store.write(
            lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED)
        )
        return cls(board, second)

    @property
    def first(self) -> int:
        return self.board.version_id

    async def seen(self, m: Scores, n: Scores) -> int:
        """Store an image with what both versions scored, by label, in ten-thousandths; returns its id. What
        the first one says is suggested."""
        image_id = await self.board.suggested(m)
        await self.look_again(image_id, n)
        return image_id

    async def look_again(self, image_id: int, n: Scores) -> None:
        """Store what version 2 scored on an image."""

        async def work(tx: Transaction) -> None:
            await tx.insert_many("analyses", ("image_id", "model_version_id"), [(image_id, self.second)])
            await tx.insert_many(
                "raw_predictions",
                ("image_id", "model_version_id", "label", "score"),
                [(image_id, self.second, NUMBERS[name], score) for name, score in n.items()],
            )

        await self.board.store.write(work)

    async def approve(self, image_id: int, title: str) -> None:
        await self._decide(image_id, title, Decision.APPROVE, None)

    async def reject(self, image_id: int, title: str, reason: RejectReason = RejectReason.WRONG) -> None:
        await self._decide(image_id, title, Decision.REJECT, reason)

    async def _decide(
        self, image_id: int, title: str, decision: Decision, reason: RejectReason | None
    ) -> None:
        row = (await self.board.rows(image_id))[title]
        request = VerdictRequest(row.id, row.version, decision, reason)
        await review(self.board.store, self.board.moderator, image_id, [request])

    async def apply(self, image_id: int, title: str) -> None:
        """Put a tag on an image as the board does."""
        tag_id = self.board.tags[title].id
        await self.board.store.write(
            lambda tx: links.link(tx, image_id, [tag_id], user_id=None, origin=LinkOrigin.BOARD)
        )

    async def compare(self, m: int = 1, n: int = 2, images: int | None = None) -> Comparison:
        return await compare(self.board.store, self.board.settings, "wd14", m, n, images=images)

    async def judge_some(self) -> tuple[int, int]:
        """Store two images that the versions see differently and that people judged; returns their ids.

        Version 1: precision 1/2, recall 1/2. Version 2: both 1.
        """
        one = await self.seen({"smile": 9000, "blue_eyes": 8000}, {"smile": 8000, "long_hair": 5000})
        await self.approve(one, "smile")
        await self.reject(one, "blue eyes")
        other = await self.seen({"smile": 6000}, {"blue_eyes": 7000})
        await self.reject(other, "smile", RejectReason.REDUNDANT)
        await self.apply(other, "blue eyes")
        return one, other
