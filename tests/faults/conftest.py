"""One installation and one undisturbed run for all fault runs."""

from collections.abc import Iterator, Mapping

import pytest
from outcome import Stored, stored
from running_board import RunningBoard, running_board
from sources import Source, picture_host, sources
from traffic import Traffic


@pytest.fixture(scope="session")
def board() -> Iterator[RunningBoard]:
    """A whole installation with every part under its supervisor. Every test leaves it healed."""
    with running_board("faults") as running:
        yield running


@pytest.fixture(scope="session")
def pictures(board: RunningBoard) -> Iterator[tuple[Source, ...]]:
    """Portraits and broken files, by upload, path and URL."""
    folder = board.stack.instance.pictures
    with picture_host(folder) as host:
        yield sources(folder, host)


@pytest.fixture(scope="session")
def undisturbed(board: RunningBoard, pictures: tuple[Source, ...]) -> Mapping[str, Stored]:
    """What a run without any fault stores of each picture, by its name."""
    with Traffic(board, pictures, len(pictures), review=False) as traffic:
        traffic.finish()
    found = stored(board, traffic)
    by_name = {source.name: found[external_id] for external_id, source in traffic.sources.items()}
    failed = {name: one.image[1] for name, one in by_name.items() if one.image[0] == "failed"}
    assert failed == {source.name: source.reason for source in pictures if source.reason}
    return by_name
