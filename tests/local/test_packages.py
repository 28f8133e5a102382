"""Programs come from PATH, else from packages unpacked in private, else with a word about what to do."""

import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.local.errors import LocalStackError
from orchestrator.local.packages import Packages, missing_libraries
from orchestrator.local.ports import choose_port, is_free


def quiet(_: str) -> None:
    """Report nothing."""


def test_a_program_on_path_is_used(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    packages = Packages(tmp_path / "packages", search_path=str(program.parent))
    found = packages.program("redis-server", "redis-server", report=quiet)
    assert (found.path, found.prefix, found.environment()) == (program, tmp_path, {})
    assert not (tmp_path / "packages").exists()


def test_without_the_program_and_without_apt_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    packages = Packages(tmp_path / "packages", search_path=str(tmp_path))
    with pytest.raises(LocalStackError, match=r"redis-server is not installed.*no apt-get.*install MariaDB"):
        packages.program("redis-server", "redis-server", report=quiet)


def test_a_package_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    # Given an apt that knows of no packages at all
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, code in (("apt-get", "echo E: Unable to locate package >&2; exit 100"), ("apt-config", "true")):
        (tools / name).write_text(f"#!/bin/sh\n{code}\n")
        (tools / name).chmod(0o755)
    (tools / "dpkg").symlink_to("/bin/true")
    packages = Packages(tmp_path / "packages", search_path=str(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        # Then the message is apt's own, below what it means
        with pytest.raises(LocalStackError, match=r"redis-server is not installed.*Unable to locate"):
            packages.program("redis-server", "redis-server", report=quiet)
    # And nothing is taken for unpacked
    assert not list((tmp_path / "packages").glob("*.unpacked"))


def test_a_binary_that_lacks_a_library_is_found_out(tmp_path: Path) -> None:
    # Given the server, which finds its libraries by its own place, moved from there
    library = Path(sys.prefix, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}")
    server = next(library.glob("site-packages/pytriton/tritonserver/bin/tritonserver"))
    moved = tmp_path / "bin" / server.name
    moved.parent.mkdir()
    shutil.copy(server, moved)
    # Then those are missed there, and found where they are
    assert missing_libraries(moved)
    assert not missing_libraries(moved, (server.parents[3] / "nvidia_pytriton.libs",))


def test_ports_are_free_nameless_and_below_those_of_outgoing_connections() -> None:
    port = choose_port()
    assert 20_000 <= port <= 32_000
    assert is_free(port)
    assert choose_port(taken=range(20_000, 31_900)) >= 31_900
