"""The client against a real tritonserver: pinned versions, deadlines, and errors that say what to do."""

import asyncio
import contextlib
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_models import SIZE, served, write_tiny

from orchestrator.errors import InferenceRejected, InferenceUnavailable, ManifestError, ModelError
from orchestrator.inference.client import TritonClient
from orchestrator.records import Priority, Uint8Tensor

pytestmark = pytest.mark.anyio


@pytest.fixture
async def triton(triton_url: str, triton_admin_key: str) -> AsyncIterator[TritonClient]:
    async with TritonClient(triton_url, admin_key=triton_admin_key) as client:
        yield client


@pytest.fixture
def tiny(model_repository: Path) -> Iterator[str]:
    """The name of a model of two versions in the folder that Triton serves; none is loaded."""
    name = f"tiny_{uuid.uuid4().hex[:8]}"
    write_tiny(model_repository, name, versions=(1, 2))
    yield name
    shutil.rmtree(model_repository / name)


@pytest.fixture
async def loaded(triton: TritonClient, tiny: str, model_repository: Path) -> AsyncIterator[str]:
    """The same with version 1 loaded."""
    await triton.load(tiny, [1], repository=model_repository)
    yield tiny
    await triton.unload(tiny)


def pictures(*brightness: int) -> Uint8Tensor:
    return np.stack([np.full((SIZE, SIZE, 3), value, np.uint8) for value in brightness])


async def test_every_picture_of_a_batch_gets_its_own_scores(triton, loaded) -> None:
    scores = await triton.infer(served(loaded, 1), pictures(255, 51, 102))

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[1, 0, 0.1], [0.2, 0.8, 0.1], [0.4, 0.6, 0.1]], atol=1e-6)


@pytest.mark.parametrize("priority", list(Priority))
async def test_both_priorities_are_served(triton, loaded, priority) -> None:
    scores = await triton.infer(served(loaded, 1), pictures(51), priority=priority, deadline=5)

    assert scores.shape == (1, 3)


async def test_many_at_once_are_not_mixed_up(triton, loaded) -> None:
    values = list(range(1, 101))

    answers = await asyncio.gather(*(triton.infer(served(loaded, 1), pictures(value)) for value in values))

    np.testing.assert_allclose([answer[0, 0] for answer in answers], np.array(values) / 255, atol=1e-6)


async def test_versions_change_and_the_pinned_one_answers(triton, loaded, model_repository) -> None:
    async def mark(version: int) -> float:
        return round(float((await triton.infer(served(loaded, version), pictures(51)))[0, 2]), 4)

    # Given version 1 alone, then both
    assert await mark(1) == 0.1
    await triton.load(loaded, [1, 2], repository=model_repository)
    assert (await mark(1), await mark(2)) == (0.1, 0.2)

    # When only version 2 is left
    await triton.load(loaded, [2], repository=model_repository)

    # Then it answers, and the other one is worth another try: Triton may only be behind the database
    assert await mark(2) == 0.2
    with pytest.raises(InferenceUnavailable) as refusal:
        await mark(1)
    assert refusal.value.code == "model_not_served"
    assert await triton.is_ready(served(loaded, 2))
    assert not await triton.is_ready(served(loaded, 1))


async def test_a_version_change_interrupts_nobody(triton, loaded, model_repository) -> None:
    stop = asyncio.Event()

    async def keep_asking() -> int:
        count = 0
        while not stop.is_set():
            await triton.infer(served(loaded, 1), pictures(51))
            count += 1
        return count

    asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
    await triton.load(loaded, [1, 2], repository=model_repository)
    await triton.load(loaded, [1], repository=model_repository)
    stop.set()

    assert all(count > 0 for count in await asyncio.gather(*asking))


async def test_the_index_names_versions_and_states(triton, loaded) -> None:
    entries = {(entry.name, entry.version): entry.state for entry in await triton.index()}

    assert entries[loaded, 1] == "READY"
    assert (loaded, 2) not in entries


async def test_unloading_stops_a_model(triton, tiny, model_repository) -> None:
    await triton.load(tiny, [1], repository=model_repository)
    await triton.unload(tiny)

    assert not await triton.is_ready(served(tiny, 1))
    with pytest.raises(InferenceUnavailable):
        await triton.infer(served(tiny, 1), pictures(51))


async def test_the_tracked_configuration_is_not_changed_by_loading(triton, loaded, model_repository) -> None:
    config = model_repository / loaded / "config.pbtxt"
    before = config.read_text()

    await triton.load(loaded, [1, 2], repository=model_repository)

    assert config.read_text() == before


async def test_a_broken_version_leaves_the_old_one_alone(triton, loaded, model_repository) -> None:
    broken = model_repository / loaded / "3"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"no model")

    with pytest.raises(ModelError):
        await triton.load(loaded, [1, 3], repository=model_repository)

    assert (await triton.infer(served(loaded, 1), pictures(51))).shape == (1, 3)


async def test_loading_wants_a_configuration(triton, model_repository) -> None:
    with pytest.raises(ManifestError):
        await triton.load("no_such_model", [1], repository=model_repository)


async def test_model_control_is_behind_the_key(triton_url, model_repository, tiny) -> None:
    async with TritonClient(triton_url, admin_key="a guess") as stranger:
        with pytest.raises(InferenceRejected):
            await stranger.load(tiny, [1], repository=model_repository)
        with pytest.raises(InferenceRejected) as refusal:
            await stranger.index()

    assert refusal.value.code == "inference_forbidden"


async def test_a_probe_is_a_real_inference(triton, loaded) -> None:
    await triton.probe(served(loaded, 1))

    with pytest.raises(InferenceUnavailable):
        await triton.probe(served(loaded, 2))


@pytest.mark.parametrize(
    "batch",
    [
        pictures(51).astype(np.float32),
        pictures(51)[0],
        np.zeros((1, 9, 8, 3), np.uint8),
        np.zeros((1, 3, 8, 8), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
    ids=["float", "no-batch", "size", "layout", "empty"],
)
async def test_a_tensor_that_does_not_fit_is_never_sent(batch) -> None:
    async with TritonClient("127.0.0.1:1") as nowhere:
        with pytest.raises(InferenceRejected):
            await nowhere.infer(served("tiny", 1), batch)


async def test_a_batch_over_the_models_limit_is_refused(triton, loaded) -> None:
    with pytest.raises(InferenceRejected):
        await triton.infer(served(loaded, 1), pictures(*range(1, 10)))


async def test_a_tensor_need_not_be_contiguous(triton, loaded) -> None:
    wide = np.full((1, SIZE, SIZE * 2, 3), 0, np.uint8)
    wide[:, :, ::2] = 102

    assert (await triton.infer(served(loaded, 1), wide[:, :, ::2]))[0, 0] == pytest.approx(0.4)


async def test_nan_comes_with_status_ok_and_is_refused(triton, loaded) -> None:
    with pytest.raises(InferenceRejected) as refusal:
        await triton.infer(served(loaded, 1), pictures(51, 0))

    assert refusal.value.code == "scores_not_finite"


async def test_scores_of_another_length_than_the_labels_are_refused(triton, loaded) -> None:
    with pytest.raises(InferenceRejected) as refusal:
        await triton.infer(served(loaded, 1, labels=4), pictures(51))

    assert refusal.value.code == "scores_misshapen"


async def test_logits_are_not_probabilities(triton, model_repository) -> None:
    name = f"tiny_{uuid.uuid4().hex[:8]}"
    write_tiny(model_repository, name, versions=(1,), scale=1.0)
    await triton.load(name, [1], repository=model_repository)
    try:
        with pytest.raises(InferenceRejected) as refusal:
            await triton.infer(served(name, 1), pictures(51))
    finally:
        await triton.unload(name)
        shutil.rmtree(model_repository / name)

    assert refusal.value.code == "scores_not_probabilities"


@pytest.mark.parametrize("deadline", [0.00001, 0.0, -1.0])
async def test_a_deadline_is_kept(triton, loaded, deadline) -> None:
    with pytest.raises(InferenceUnavailable) as refusal:
        await triton.infer(served(loaded, 1), pictures(51), deadline=deadline)

    assert refusal.value.code == "inference_timeout"


async def test_a_server_that_is_away() -> None:
    async with TritonClient("127.0.0.1:1", timeout=2) as nowhere:
        with pytest.raises(InferenceUnavailable):
            await nowhere.infer(served("tiny", 1), pictures(51))
        with pytest.raises(InferenceUnavailable):
            await nowhere.index()
        assert not await nowhere.is_live()
        assert not await nowhere.is_ready(served("tiny", 1))


async def test_a_server_that_takes_calls_and_never_answers() -> None:
    async with (
        listening(lambda reader, _writer: reader.read()) as port,
        TritonClient(f"127.0.0.1:{port}") as client,
    ):
        with pytest.raises(InferenceUnavailable):
            await client.infer(served("tiny", 1), pictures(51), deadline=0.3)


async def test_a_server_that_comes_back_is_found_again_soon(triton_url, loaded) -> None:
    # Given a client of an address where nothing listens yet
    relay = Relay(triton_url)
    async with listening(relay.converse) as port:
        pass
    async with TritonClient(f"127.0.0.1:{port}", timeout=5) as client:
        with pytest.raises(InferenceUnavailable):
            await client.infer(served(loaded, 1), pictures(51), deadline=0.5)

        # When the server is there
        async with listening(relay.converse, port=port), asyncio.timeout(10):
            # Then a later call gets through, and so does one after the connection broke
            assert (await answered(client, loaded)).shape == (1, 3)
            relay.break_connections()
            assert (await answered(client, loaded)).shape == (1, 3)


async def answered(client: TritonClient, name: str):
    while True:
        with contextlib.suppress(InferenceUnavailable):
            return await client.infer(served(name, 1), pictures(51), deadline=2)


async def test_closing_twice_and_asking_after(triton, loaded) -> None:
    await triton.infer(served(loaded, 1), pictures(51))
    await triton.close()
    await triton.close()

    assert await triton.is_live()


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@contextlib.asynccontextmanager
async def listening(converse: Conversation, *, port: int = 0) -> AsyncIterator[int]:
    """Listen on the loopback, `converse` on every connection, and leave none open."""
    conversations: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []
    closing = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await converse(reader, writer)
        writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if closing.is_set():
            writer.transport.abort()
        else:
            conversations.add(asyncio.create_task(hold(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        closing.set()
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*conversations)


class Relay:
    """A TCP relay to Triton that can be absent and break."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._writers: list[asyncio.StreamWriter] = []

    def break_connections(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, back]
        ways = [asyncio.create_task(copy(reader, back)), asyncio.create_task(copy(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        self.break_connections()
        await asyncio.wait(ways)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
