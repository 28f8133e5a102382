"""Programs that the stack needs from the system: found on PATH, else unpacked privately from its packages.

Nothing is installed: apt-get works on lists and archives of its own under `.local/packages`, as root or
not, and `dpkg -x` unpacks what it brought. No system service is started by that.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.local.errors import LocalStackError

Report = Callable[[str], None]

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib")
_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be run. `prefix` is the folder with `bin`, `sbin`, `share`, … around it."""

    path: Path
    prefix: Path
    library_path: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return what has to be set for the program to find its libraries."""
        if not self.library_path:
            return {}
        return {"LD_LIBRARY_PATH": ":".join(map(str, self.library_path))}


class Packages:
    """Programs and libraries, unpacked under `folder` where the system has none."""

    def __init__(self, folder: Path, *, search_path: str | None = None) -> None:
        """`search_path`: where to look first, by default PATH and the folders of system programs."""
        self._folder = folder
        self._root = folder / "root"
        path = os.environ.get("PATH", "") if search_path is None else search_path
        self._search_path = path if search_path is not None else ":".join([path, *_SYSTEM_FOLDERS])

    def program(self, name: str, *packages: str, report: Report) -> Program:
        """Return the program `name`, from `packages` if the system lacks it. Raises LocalStackError."""
        found = shutil.which(name, path=self._search_path)
        if found is not None:
            path = Path(found)
            return Program(path, path.resolve().parents[1])
        self._unpack(packages, f"{name} is not installed", report)
        unpacked = self._unpacked(name)
        if unpacked is None:
            raise LocalStackError(f"{', '.join(packages)} hold no {name}; please install {name} yourself")
        program = Program(unpacked, self._root / "usr", self.library_folders())
        missing = missing_libraries(unpacked, program.library_path) if _is_elf(unpacked) else ()
        if missing:
            raise LocalStackError(
                f"{unpacked} lacks {', '.join(missing)} on this system; please install {name} yourself"
            )
        return program

    def library(self, file_name: str, package: str, *, report: Report) -> Path:
        """Return the folder with the shared library `file_name`, unpacked from `package`.

        Raises LocalStackError.
        """
        self._unpack((package,), f"{file_name} is not installed", report)
        for folder in self.library_folders():
            if (folder / file_name).exists():
                return folder
        raise LocalStackError(f"the package {package} holds no {file_name}; please install it yourself")

    def library_folders(self) -> tuple[Path, ...]:
        """Return the folders of unpacked libraries."""
        return tuple(self._root / folder for folder in _LIBRARY_FOLDERS if (self._root / folder).is_dir())

    def _unpacked(self, name: str) -> Path | None:
        for folder in ("usr/sbin", "usr/bin"):
            path = self._root / folder / name
            if path.exists():
                return path
        return None

    def _unpack(self, packages: Sequence[str], why: str, report: Report) -> None:
        """Bring and unpack `packages`, with what they need and the system lacks, unless that was done."""
        if all(self._stamp(package).exists() for package in packages):
            return
        for tool in ("apt-get", "apt-config", "dpkg"):
            if shutil.which(tool) is None:
                raise LocalStackError(
                    f"{why}, and this system has no {tool} to bring it. Please install MariaDB (10.11 or"
                    " newer), Redis and Python's shared library so that they are found on PATH."
                )
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "packages.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if all(self._stamp(package).exists() for package in packages):
                return
            report(f"{why}: downloading {', '.join(packages)}")
            environment = self._apt_environment()
            self._apt(("update", "-qq"), environment, f"{why}, and its package lists cannot be read")
            self._apt(
                ("install", "-qq", "--yes", "--download-only", "--no-install-recommends", *packages),
                environment,
                f"{why}, and {', '.join(packages)} cannot be downloaded",
            )
            report(f"unpacking {', '.join(packages)}")
            for archive in sorted((self._folder / "cache/archives").glob("*.deb")):
                self._root.mkdir(exist_ok=True)
                _run(("dpkg", "-x", str(archive), str(self._root)), dict(os.environ), f"{archive} is damaged")
                archive.unlink()
            for package in packages:
                self._stamp(package).touch()

    def _stamp(self, package: str) -> Path:
        """The file that says that `package` was unpacked to the end."""
        return self._folder / f"{package}.unpacked"

    def _apt_environment(self) -> dict[str, str]:
        """Write an apt configuration with private folders; returns the environment that makes apt read it.

        The system's settings (proxies, pins) are kept, but not its hooks, which write elsewhere.
        """
        for folder in ("lists/partial", "cache/archives/partial", "state"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        environment.pop("APT_CONFIG", None)
        dumped = _run(("apt-config", "dump"), environment, "apt-config does not work")
        kept = [
            line
            for line in dumped.splitlines()
            if "-Invoke" not in line and not line.startswith(("Dir::Etc::parts", "Dir::Etc::main", "DPkg"))
        ]
        ours = {
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::main": "/dev/null",
            "Dir::State": self._folder / "state",
            "Dir::State::status": "/var/lib/dpkg/status",
            "Dir::State::lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            "Dir::Cache::archives": "archives",
            "Debug::NoLocking": "1",
            "APT::Sandbox::User": "root",  # the user _apt may not be able to reach a private checkout
            "Acquire::Retries": "3",
            "Acquire::Languages": "none",
        }
        lines = [*kept, *(f'{key} "{value}";' for key, value in ours.items())]
        file = self._folder / "apt.conf"
        file.write_text("\n".join(lines) + "\n")
        return {**environment, "APT_CONFIG": str(file)}

    def _apt(self, arguments: Sequence[str], environment: dict[str, str], problem: str) -> None:
        _run(("apt-get", *arguments), environment, problem)


def _is_elf(file: Path) -> bool:
    """Whether `file` is a binary rather than a script."""
    with file.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def missing_libraries(binary: Path, library_path: Sequence[Path] = ()) -> tuple[str, ...]:
    """Return the shared libraries that `binary` needs and the loader does not find."""
    environment = {**os.environ, "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(map(str, library_path))}
    listing = _run(("ldd", str(binary)), environment, f"ldd cannot read {binary}")
    return tuple(sorted({line.split()[0] for line in listing.splitlines() if "not found" in line}))


def _run(command: Sequence[str], environment: dict[str, str], problem: str) -> str:
    """Run a short command and return its output. Raises LocalStackError that begins with `problem`."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalStackError(f"{problem}: {error}") from error
    if done.returncode != 0:
        raise LocalStackError(f"{problem}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
