"""One long run through which everything is killed, forgotten and filled up in turn."""

from collections.abc import Mapping

from damage import VICTIMS, forget, kill, no_room
from outcome import Stored, assert_unharmed
from running_board import RunningBoard
from sources import NOISE_BYTES, Source
from traffic import Traffic

IMAGES = 500


def test_five_hundred_images_survive_every_fault_in_turn(
    board: RunningBoard, pictures: tuple[Source, ...], undisturbed: Mapping[str, Stored]
) -> None:
    faults = len(VICTIMS) + 2
    # Given a run of five hundred images
    with Traffic(board, pictures, IMAGES) as traffic:
        # When one process after the other is killed
        for number, find in enumerate(VICTIMS.values(), start=1):
            traffic.wait_for(number * IMAGES // (faults + 1))
            kill(find(board))
        # And the queue forgets everything, and the disk is full for a while
        traffic.wait_for((faults - 1) * IMAGES // (faults + 1))
        forget(board)
        with no_room(board, NOISE_BYTES // 2):
            traffic.wait_for(faults * IMAGES // (faults + 1))
        assert traffic.settled() < IMAGES
        # Then everything comes to its end
        traffic.finish(timeout=300)
    # And the rows are those of an undisturbed run, with every acknowledged verdict once
    assert traffic.refused, "nobody noticed any fault"
    assert len(traffic.acknowledged) >= IMAGES // 6
    assert_unharmed(board, traffic, undisturbed)
    states = traffic.states()
    assert set(states) == {"done", "failed"}
    assert states["failed"] >= IMAGES // 20
    board.heal()
