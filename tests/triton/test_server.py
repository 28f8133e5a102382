"""The server's doors and its end."""

import time

import httpx
import numpy as np
import psutil
import pytest
import services
from onnx_models import of_type
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from orchestrator.local.instance import Instance
from orchestrator.local.parts import PartName
from orchestrator.local.stack import Stack
from orchestrator.local.triton import reachable, server_flags, shared_memory

ADMIN = "triton-grpc-protocol-admin-key"
MODEL = of_type("INT64")


def ask(client: InferenceServerClient) -> np.ndarray:
    given = InferInput("x", [1, 5], "INT64")
    given.set_data_from_numpy(np.arange(5, dtype=np.int64).reshape(1, 5))
    return client.infer(MODEL.name, [given]).as_numpy("y")


def test_a_server_starts_empty_and_ready(triton_serving, tmp_path) -> None:
    MODEL.write(tmp_path)
    server = triton_serving(tmp_path, "empty")
    with InferenceServerClient(server.url) as client:
        assert client.is_server_ready()
        assert not client.is_model_ready(MODEL.name)


@pytest.mark.parametrize("headers", [{}, {ADMIN: "guess"}])
def test_without_the_key_no_model_is_loaded_unloaded_or_listed(client, headers: dict[str, str]) -> None:
    for call in (
        lambda: client.load_model(MODEL.name, headers=headers),
        lambda: client.unload_model(MODEL.name, headers=headers),
        lambda: client.get_model_repository_index(headers=headers),
    ):
        with pytest.raises(InferenceServerException, match="restricted"):
            call()


def test_the_http_door_wants_the_key_too(server) -> None:
    url = f"{server.http_url}/v2/repository/index"
    assert httpx.post(url).status_code == httpx.codes.FORBIDDEN
    assert httpx.post(url, headers={"admin-key": server.admin_key}).status_code == httpx.codes.OK


def test_it_listens_on_the_loopback_address_only(server) -> None:
    run = server.stack.run()
    process = psutil.Process(run.parts[PartName.TRITON].pid)
    listening = {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_a_killed_backend_process_is_told_from_a_wrong_request_and_mended_by_a_reload(
    server, client, key
) -> None:
    # Given a model that answers
    client.load_model(MODEL.name, headers=key)
    assert ask(client).tolist() == [[0, 1, 2, 3, 4]]
    # When the process behind it is killed
    triton = psutil.Process(server.stack.run().parts[PartName.TRITON].pid)
    stubs = [child for child in triton.children() if f"/{MODEL.name}/" in " ".join(child.cmdline())]
    assert stubs
    for stub in stubs:
        stub.kill()
    # Then requests fail as what they are
    with pytest.raises(InferenceServerException, match="Stub process") as failure:
        ask(client)
    assert failure.value.status() == "StatusCode.INTERNAL"
    # And a reload brings it back
    client.unload_model(MODEL.name, headers=key)
    deadline = time.monotonic() + 30
    while client.is_model_ready(MODEL.name):
        assert time.monotonic() < deadline
    client.load_model(MODEL.name, headers=key)
    assert ask(client).tolist() == [[0, 1, 2, 3, 4]]


def test_its_end_leaves_no_shared_memory(triton_serving, tmp_path) -> None:
    MODEL.write(tmp_path)
    server = triton_serving(tmp_path, "ending")
    with InferenceServerClient(server.url) as client:
        client.load_model(MODEL.name, headers={ADMIN: server.admin_key})
        ask(client)
    assert list(shared_memory(server.stack.instance))
    server.stack.down()
    assert not list(shared_memory(server.stack.instance))


def test_a_checkout_with_blanks_in_its_path_serves_as_well(tmp_path) -> None:
    # Given an instance below such a path
    MODEL.write(tmp_path / "models")
    base = tmp_path / "my own checkout"
    base.mkdir()
    (base / "packages").symlink_to(services.test_instance().packages)
    stack = Stack(Instance.named("blank", base=base))
    try:
        # When its server is started and has to load a model
        stack.up((PartName.TRITON,), owner=services.run_owner(), model_repository=tmp_path / "models")
        environment = stack.environment()
        with InferenceServerClient(environment["TAGDESK_TRITON_URL"]) as client:
            client.load_model(MODEL.name, headers={ADMIN: environment["TAGDESK_TRITON_ADMIN_KEY"]})
            # Then it answers
            assert ask(client).tolist() == [[0, 1, 2, 3, 4]]
        link = reachable(stack.instance)
        assert link.is_symlink()
    finally:
        stack.down()
    # And the way around the blanks is gone afterwards
    assert not link.is_symlink()


def test_the_flags_are_one_list_for_all_servers() -> None:
    flags = server_flags("sesame")
    assert "--model-control-mode=explicit" in flags
    assert any(flag.endswith(":admin-key=sesame") for flag in flags)
    assert not any("$" in flag for flag in flags)
