"""Whole instances with real services: what dies comes back, and the end leaves nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import services

from orchestrator.local.instance import Instance, checkout
from orchestrator.local.parts import PartName
from orchestrator.local.processes import ProcessId, marked
from orchestrator.local.runfile import PartState, PartStatus
from orchestrator.local.stack import Stack
from orchestrator.local.triton import shared_memory

DATA_PARTS = (PartName.MARIADB, PartName.REDIS)
WAIT = 60.0


@pytest.fixture
def make_stack() -> Iterator[Callable[[str], Stack]]:
    """Return a function that names a stack of this test's own; all of them are ended and removed."""
    made: list[Stack] = []

    def make(label: str, **given: str) -> Stack:
        instance = services.test_instance(f"{label}-{services.worker_number()}")
        made.append(Stack(instance, given=given))
        return made[-1]

    yield make
    for stack in made:
        services.remove(stack)


def start(stack: Stack, *names: PartName) -> None:
    stack.up(names, hasty=True, owner=os.getpid())


def part(stack: Stack, name: PartName) -> PartStatus:
    run = stack.run()
    assert run is not None
    return run.parts[name]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        os.sched_yield()


def leftovers(stack: Stack) -> list[object]:
    """Return what still exists of a stack besides its data and logs."""
    sockets = [file for file in stack.instance.folder.rglob("*") if file.is_socket()]
    return [*marked(stack.marker), *sockets, *shared_memory(stack.instance)]


def test_a_killed_part_comes_back_and_the_end_leaves_nothing(make_stack) -> None:
    # Given a running database and broker
    stack = make_stack("killed")
    start(stack, *DATA_PARTS)
    # When both are killed
    before = {name: part(stack, name) for name in DATA_PARTS}
    for status in before.values():
        os.kill(status.pid or 0, signal.SIGKILL)
    # Then both come back by themselves
    for name in DATA_PARTS:
        until(
            lambda name=name: part(stack, name).restarts == 1 and part(stack, name).state is PartState.READY
        )
        assert part(stack, name).pid != before[name].pid
    # And nothing is left of them after the end
    assert stack.down()
    assert leftovers(stack) == []
    assert stack.run() is None


def test_up_twice_is_as_good_as_once(make_stack) -> None:
    stack = make_stack("twice")
    start(stack, PartName.REDIS)
    first = part(stack, PartName.REDIS)
    start(stack, PartName.REDIS)
    assert part(stack, PartName.REDIS) == first


def test_a_part_asked_for_later_joins_the_others(make_stack) -> None:
    stack = make_stack("later")
    start(stack, PartName.REDIS)
    start(stack, PartName.MARIADB)
    run = stack.run()
    assert run is not None
    assert {name for name, status in run.parts.items() if status.state is PartState.READY} == {*DATA_PARTS}


def test_the_next_start_clears_what_a_killed_supervisor_left(make_stack) -> None:
    # Given a stack whose supervisor is stopped, so that it ends nothing, and then killed
    stack = make_stack("orphans")
    start(stack, *DATA_PARTS)
    run = stack.run()
    assert run is not None
    orphans = [ProcessId.of(status.pid or 0) for status in run.parts.values()]
    run.supervisor.signal(signal.SIGKILL)
    assert run.supervisor.wait(WAIT)
    # When it is started again
    start(stack, *DATA_PARTS)
    # Then the old processes are gone and new ones answer
    assert not any(orphan is not None and orphan.is_alive() for orphan in orphans)
    assert part(stack, PartName.MARIADB).state is PartState.READY


def test_a_killed_supervisor_leaves_no_orphans(make_stack) -> None:
    stack = make_stack("alone")
    start(stack, *DATA_PARTS)
    run = stack.run()
    assert run is not None
    run.supervisor.signal(signal.SIGKILL)
    until(lambda: not marked(stack.marker))


def test_a_stack_ends_with_its_owner(make_stack) -> None:
    # Given a stack that a process of its own asked for
    stack = make_stack("owned")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        stack.up((PartName.REDIS,), hasty=True, owner=owner.pid)
        assert stack.run() is not None
        # When that process is killed
        owner.kill()
    # Then the stack ends by itself
    until(lambda: not marked(stack.marker))


def test_two_instances_share_nothing(make_stack) -> None:
    one, other = make_stack("one"), make_stack("other")
    start(one, PartName.REDIS)
    start(other, PartName.REDIS)
    assert one.environment()["TAGDESK_REDIS_URL"] != other.environment()["TAGDESK_REDIS_URL"]
    one.down()
    assert part(other, PartName.REDIS).state is PartState.READY


def test_ports_and_secrets_are_remembered(make_stack) -> None:
    stack = make_stack("memory")
    assert stack.environment() == Stack(stack.instance).environment()
    assert (stack.instance.folder / "instance.json").stat().st_mode & 0o777 == 0o600


def test_a_port_that_something_else_took_is_given_up(make_stack) -> None:
    stack = make_stack("taken")
    before = stack.environment()["TAGDESK_REDIS_URL"]
    port = int(before.rpartition(":")[2].partition("/")[0])
    code = f"import socket; s = socket.create_server(('127.0.0.1', {port})); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as squatter:
        assert squatter.stdout is not None
        squatter.stdout.readline()
        start(stack, PartName.REDIS)
        squatter.communicate(b"\n")
    assert stack.environment()["TAGDESK_REDIS_URL"] != before


def test_a_part_that_is_provided_is_used_and_not_started(make_stack, redis_url: str) -> None:
    stack = make_stack("provided", TAGDESK_REDIS_URL=redis_url)
    start(stack, PartName.REDIS)
    assert part(stack, PartName.REDIS).state is PartState.PROVIDED
    assert part(stack, PartName.REDIS).pid is None
    assert stack.environment()["TAGDESK_REDIS_URL"] == redis_url


def test_the_database_runs_as_an_ordinary_user(stack: Stack) -> None:
    uids = psutil.Process(part(stack, PartName.MARIADB).pid).uids()
    reachable = "MariaDB runs as root" not in stack.instance.log_file("supervisor").read_text()
    assert os.geteuid() != 0 or not reachable or uids.effective != 0


def test_status_as_json_tells_addresses_health_and_logs_and_no_password(make_stack) -> None:
    # Given a running broker
    stack = make_stack("status")
    start(stack, PartName.REDIS)
    # When its status is asked for
    done = command("status", "--json", stack=stack)
    # Then it tells all that a person needs
    report = json.loads(done.stdout)
    (redis,) = report["parts"]
    assert (done.returncode, report["running"], report["healthy"]) == (0, True, True)
    assert (redis["name"], redis["state"], redis["healthy"]) == ("redis", "ready", True)
    assert redis["address"].startswith("redis://127.0.0.1:")
    assert Path(redis["log"]).exists()
    assert report["tokens"] is None
    secret = stack.environment()["TAGDESK_REDIS_URL"].split(":")[2].partition("@")[0]
    assert secret not in done.stdout


def test_status_of_a_sick_part_says_so_and_fails(make_stack) -> None:
    stack = make_stack("sick")
    start(stack, PartName.REDIS)
    redis = psutil.Process(part(stack, PartName.REDIS).pid)
    redis.suspend()
    try:
        done = command("status", stack=stack)
    finally:
        redis.resume()
    assert done.returncode == 1
    assert "no" in done.stdout


def test_status_and_logs_of_a_stack_that_does_not_run(make_stack) -> None:
    stack = make_stack("absent")
    assert command("status", stack=stack).returncode == 3
    assert command("logs", "redis", stack=stack).returncode == 1
    assert command("down", stack=stack).returncode == 0


def test_logs_shows_the_end_of_a_part(make_stack) -> None:
    stack = make_stack("logged")
    start(stack, PartName.REDIS)
    done = command("logs", "redis", "-n", "3", stack=stack)
    assert len(done.stdout.splitlines()) == 3
    assert "Ready to accept connections" in done.stdout


def test_a_name_that_is_no_folder_name_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.local", "status", "--instance", "../up"],
        capture_output=True,
        text=True,
        check=False,
        cwd=checkout(),
    )
    assert done.returncode == 1
    assert "no name for an instance" in done.stderr


def command(*arguments: str, stack: Stack) -> "subprocess.CompletedProcess[str]":
    """Run one of the stack's commands as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.local", *arguments, "--instance", stack.instance.name],
        capture_output=True,
        text=True,
        check=False,
        cwd=checkout(),
    )


def test_the_served_models_are_a_copy_that_keeps_what_was_added(tmp_path: Path) -> None:
    from orchestrator.local.repository import refresh_model_repository

    # Given a copy of a repository, to which a version was added and whose configuration was changed
    source = tmp_path / "tracked"
    (source / "model/1").mkdir(parents=True)
    (source / "model/1/model.onnx").write_text("one")
    (source / "model/config.pbtxt").write_text("first")
    instance = Instance.named("copy", base=tmp_path / "local")
    instance.create()
    assert refresh_model_repository(instance, source) == 2
    copy = instance.model_repository / "model"
    shutil.copytree(copy / "1", copy / "2")
    (copy / "config.pbtxt").write_text("of the installation")
    # When nothing was changed in the tracked tree, nothing changes in the copy
    assert refresh_model_repository(instance, source) == 0
    assert (copy / "config.pbtxt").read_text() == "of the installation"
    # When a tracked file changes, it alone is brought
    (source / "model/1/model.onnx").write_text("one, trained longer")
    assert refresh_model_repository(instance, source) == 1
    assert (copy / "1/model.onnx").read_text() == "one, trained longer"
    assert (copy / "2/model.onnx").read_text() == "one"


def test_another_installation_in_the_environment_is_not_taken_for_this_ones(
    make_stack, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an environment that names the parts of another installation
    stack = make_stack("surrounded")
    monkeypatch.setenv("TAGDESK_REDIS_URL", redis_url)
    # When a stack is started that was given nothing of it
    start(stack, PartName.REDIS)
    # Then it runs a part of its own
    assert part(stack, PartName.REDIS).state is PartState.READY
    assert stack.environment()["TAGDESK_REDIS_URL"] != redis_url
