"""The compose file is one that compose would take, and holds to what docs/gpu.md promises."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from compose_file import FILE, ONCE, OWN, Misspelt, Service, document, interpolate, services, variable_names

from orchestrator.lifespan import CANCEL_TIMEOUT, CLOSE_TIMEOUT, DRAIN_TIMEOUT
from orchestrator.local.instance import checkout

SERVICES = services()
LASTING = sorted(set(SERVICES) - set(ONCE))

# Written from the compose specification: what may stand at each place that this file uses.
TOP = {"name", "services", "networks", "volumes", "secrets"}
SERVICE = {
    *(
        "image",
        "build",
        "user",
        "entrypoint",
        "command",
        "environment",
        "secrets",
        "volumes",
        "tmpfs",
        "networks",
        "ports",
    ),
    *("network_mode", "healthcheck", "stop_grace_period", "depends_on", "deploy", "restart", "read_only"),
    *("init", "cap_drop", "security_opt", "logging", "shm_size", "ulimits"),
}
INSIDE = {
    "build": {"context", "dockerfile", "target", "args", "secrets"},
    "healthcheck": {"test", "interval", "timeout", "retries", "start_period"},
    "logging": {"driver", "options"},
    "deploy": {"resources"},
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
DURATION = re.compile(r"(\d+)s")


def seconds(text: str) -> int:
    match = DURATION.fullmatch(text)
    assert match, f"{text} is no number of seconds"
    return int(match[1])


def each_service() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)


def each_lasting() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", [SERVICES[name] for name in LASTING], ids=lambda one: one.name)


def test_the_file_has_only_keys_of_the_specification() -> None:
    whole = document()
    assert set(whole) == TOP
    for name, keys in whole["services"].items():
        assert set(keys) <= SERVICE, name
        for key, allowed in INSIDE.items():
            assert set(keys.get(key, {})) <= allowed, (name, key)
        resources = keys["deploy"]["resources"]
        assert set(resources) <= {"limits", "reservations"}, name
        assert set(resources["limits"]) == {"cpus", "memory", "pids"}, name
    for key, allowed in (("networks", {"internal"}), ("volumes", set()), ("secrets", {"file"})):
        for name, inner in whole[key].items():
            assert set(inner) <= allowed, (key, name)


def test_values_have_the_types_of_the_specification() -> None:
    """YAML reads `yes`, `3` and `1:30` as something else than text; compose wants text here."""
    for name, keys in document()["services"].items():
        for key in (
            "entrypoint",
            "command",
            "secrets",
            "volumes",
            "tmpfs",
            "ports",
            "cap_drop",
            "security_opt",
        ):
            assert all(isinstance(part, str) for part in keys.get(key, [])), (name, key)
        assert all(isinstance(value, str) for value in keys.get("environment", {}).values()), name
        assert all(isinstance(part, str) for part in keys.get("healthcheck", {}).get("test", [])), name
        assert isinstance(keys["restart"], str), name
        assert isinstance(keys["deploy"]["resources"]["limits"]["cpus"], str), name


def test_every_variable_has_a_default_and_can_be_changed() -> None:
    """Given a value for each variable, then each arrives; without any, nothing is empty that must not be."""
    values = {name: f"changed-{number}" for number, name in enumerate(sorted(variable_names()))}
    changed = str(document(values))
    assert all(value in changed for value in values.values())
    plain = document()
    empty = [
        (name, key)
        for name, service in plain["services"].items()
        for key, value in service.get("environment", {}).items()
        if not value
    ]
    assert {key for _, key in empty} == {"TAGDESK_FETCH_ALLOW"}  # nothing private is allowed by default
    assert plain["services"]["api"]["ports"] == ["127.0.0.1:8000:8000"]
    moved = document({"TAGDESK_PORT": "81"})["services"]["api"]
    assert moved["ports"] == ["127.0.0.1:81:8000"]
    assert moved["environment"]["TAGDESK_PUBLIC_URL"] == "http://127.0.0.1:81"


@pytest.mark.parametrize("wrong", ["$HOME", "${lower}", "a $ b", "${A:?must}", "${A:-${B"])
def test_a_dollar_that_compose_would_not_take_is_found(wrong: str) -> None:
    with pytest.raises(Misspelt):
        interpolate(wrong, {})


def test_what_services_name_exists() -> None:
    whole = document()
    for name, keys in whole["services"].items():
        assert set(keys.get("networks", [])) <= set(whole["networks"]), name
        assert set(keys.get("secrets", [])) <= set(whole["secrets"]), name
        for volume in keys.get("volumes", []):
            source = volume.split(":")[0]
            known = (FILE.parent / source).exists() if source[0] == "." else source in whole["volumes"]
            assert known, (name, volume)
    used = {volume.split(":")[0] for keys in whole["services"].values() for volume in keys.get("volumes", [])}
    assert set(whole["volumes"]) == {volume for volume in used if volume[0] != "."}
    for key in ("secrets", "networks"):
        named = {one for keys in whole["services"].values() for one in keys.get(key, [])}
        assert set(whole[key]) == named, key


def test_waiting_for_a_service_means_something() -> None:
    """Who waits for health waits for one that has a healthcheck; who waits for an end, for one that ends."""
    for name, service in SERVICES.items():
        for other, how in service.keys.get("depends_on", {}).items():
            assert set(how) == {"condition"}, name
            assert how["condition"] in CONDITIONS, name
            assert (how["condition"] == "service_completed_successfully") == (other in ONCE), (name, other)
            if how["condition"] == "service_healthy":
                assert SERVICES[other].healthcheck, (name, other)


def test_no_service_waits_for_itself() -> None:
    waits = {name: set(service.keys.get("depends_on", {})) for name, service in SERVICES.items()}
    order: list[str] = []
    while waits:
        free = [name for name, others in waits.items() if others <= set(order)]
        assert free, f"these wait for each other: {sorted(waits)}"
        order += free
        for name in free:
            del waits[name]
    assert set(order) == set(SERVICES)


def test_only_the_api_is_published_and_by_default_to_this_machine() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service.keys] == ["api"]
    networks = document()["networks"]
    assert networks["inside"]["internal"] is True
    outside = {name for name, service in SERVICES.items() if "outside" in service.keys.get("networks", [])}
    assert outside == {"api", "worker-live", "worker-backfill"}


@each_service()
def test_images_are_pinned(service: Service) -> None:
    tag = service.image.rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag), service.image
    assert (service.image == "tagdesk:0.1.0") == (service.name in OWN)


def test_our_image_has_the_version_of_the_project_and_is_built_once() -> None:
    version = re.search(r'^version = "(.+)"$', (checkout() / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert SERVICES["api"].image == f"tagdesk:{version[1]}"
    assert [name for name, service in SERVICES.items() if "build" in service.keys] == ["models"]


@each_service()
def test_a_container_gets_no_more_than_it_needs(service: Service) -> None:
    keys: Mapping[str, Any] = service.keys
    assert keys["read_only"] is True
    assert keys["cap_drop"] == ["ALL"]
    assert keys["security_opt"] == ["no-new-privileges:true"]
    user, _, group = keys["user"].partition(":")
    assert int(user) > 0 < int(group)
    assert not keys.get("privileged")
    assert not [volume for volume in keys.get("volumes", []) if volume.startswith("/")]
    assert keys["logging"]["options"].keys() == {"max-size", "max-file"}
    limits = keys["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[mg]", limits["memory"])


@each_lasting()
def test_a_lasting_service_is_watched_restarted_and_given_time(service: Service) -> None:
    assert service.keys["restart"] == "unless-stopped"
    check = service.keys["healthcheck"]
    assert service.healthcheck
    assert seconds(check["timeout"]) <= seconds(check["interval"])
    assert check["retries"] >= 3
    grace = seconds(service.keys["stop_grace_period"])
    # A worker drains, then gives up, then closes.
    longest = DRAIN_TIMEOUT + CANCEL_TIMEOUT + CLOSE_TIMEOUT
    assert grace >= 10
    if service.name.startswith("worker-"):
        assert grace > max(65, longest)


@pytest.mark.parametrize("name", ONCE)
def test_what_runs_once_is_not_run_again(name: str) -> None:
    assert SERVICES[name].keys["restart"] == "no"
    assert not SERVICES[name].healthcheck


def test_triton_gets_a_gpu_and_reads_the_models_that_others_write() -> None:
    (device,) = SERVICES["triton"].keys["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "1", "capabilities": ["gpu"]}
    assert SERVICES["triton"].image == "nvcr.io/nvidia/tritonserver:26.07-py3"
    mounted = {
        name: [volume for volume in service.keys.get("volumes", []) if volume.startswith("models:")]
        for name, service in SERVICES.items()
    }
    folder = SERVICES["api"].environment["TAGDESK_MODEL_REPOSITORY"]
    nothing: list[str] = []
    read_only, writable = [f"models:{folder}:ro"], [f"models:{folder}"]
    assert mounted == {
        **dict.fromkeys(("mariadb", "redis", "migrate", "prometheus"), nothing),
        **dict.fromkeys(("triton", "worker-live", "worker-backfill"), read_only),
        **dict.fromkeys(("models", "api", "keeper"), writable),
    }
    # What one of them writes the others can read: all are the same user.
    assert len({SERVICES[name].keys["user"] for name, volumes in mounted.items() if volumes}) == 1


def test_metrics_folders_are_in_memory_and_nobody_shares_one() -> None:
    for name, service in SERVICES.items():
        folder = service.environment.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is not None:
            mounts = [mount.split(":")[0] for mount in service.keys["tmpfs"]]
            assert folder in mounts, name
            assert not [volume for volume in service.keys["volumes"] if volume.split(":")[1] == folder], name
    with_folder = {name for name, one in SERVICES.items() if "PROMETHEUS_MULTIPROC_DIR" in one.environment}
    assert with_folder >= {"api", "worker-live", "worker-backfill"}


def test_every_anchor_is_used() -> None:
    text = FILE.read_text()
    for anchor in re.findall(r"&([a-z-]+)", text):
        assert f"*{anchor}" in text, f"nothing uses &{anchor}"
