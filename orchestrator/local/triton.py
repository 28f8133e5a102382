"""The embedded tritonserver of the `nvidia-pytriton` wheel, with our backend for ONNX models."""

import hashlib
import importlib.util
import os
import shutil
import string
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.local.errors import LocalStackError
from orchestrator.local.instance import Instance, Memory, checkout
from orchestrator.local.packages import Packages, Report, missing_libraries
from orchestrator.local.parts import Part, PartName
from orchestrator.local.ports import LOOPBACK

GRPC_PORT, HTTP_PORT, METRICS_PORT = "triton", "triton-http", "triton-metrics"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - that is where the server puts it


class Triton:
    """The inference part of an instance."""

    def __init__(self, instance: Instance, packages: Packages, *, report: Report) -> None:
        """Brings Python's shared library if the system has none; raises LocalStackError."""
        self._instance = instance
        self._memory = Memory(instance)
        self._server_folder, self._bundled = _wheel()
        self._python_library = self._find_python_library(packages, report)
        self._check_libraries()

    @property
    def _folder(self) -> Path:
        return self._instance.folder / "triton"

    @property
    def _backends(self) -> Path:
        return self._folder / "backends"

    def part(self) -> Part:
        """Return what the supervisor has to run."""
        return Part(
            name=PartName.TRITON,
            command=(str(self._server_folder / "bin/tritonserver"), *self._arguments()),
            environment={
                # The backend's processes take the first python3 on PATH for theirs.
                "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin",
                "LD_LIBRARY_PATH": ":".join(map(str, self._library_path())),
                # ONNX Runtime would else write an id of this machine into the home folder, and report on us.
                "ORT_DISABLE_TELEMETRY": "1",
            },
            # A backend that misses a library makes the server wait for ever.
            start_timeout=60,
            stop_timeout=15,
            prepare=self._prepare,
        )

    def url(self) -> str:
        """Return the gRPC address, host:port."""
        return f"{LOOPBACK}:{self._memory.port(GRPC_PORT)}"

    def http_url(self) -> str:
        """Return the address of the HTTP endpoint."""
        return f"http://{LOOPBACK}:{self._memory.port(HTTP_PORT)}"

    def metrics_url(self) -> str:
        """Return the address of the metrics page."""
        return f"http://{LOOPBACK}:{self._memory.port(METRICS_PORT)}/metrics"

    def admin_key(self) -> str:
        """Return the key of the model control endpoints."""
        return self._memory.secret("triton-admin-key")

    def _arguments(self) -> tuple[str, ...]:
        return (
            *server_flags(self.admin_key()),
            f"--model-repository={reachable(self._instance) / 'model_repository'}",
            f"--backend-directory={reachable(self._instance) / 'triton/backends'}",
            f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix(self._instance)}",
            f"--grpc-address={LOOPBACK}",
            f"--http-address={LOOPBACK}",
            f"--metrics-address={LOOPBACK}",
            f"--grpc-port={self._memory.port(GRPC_PORT)}",
            f"--http-port={self._memory.port(HTTP_PORT)}",
            f"--metrics-port={self._memory.port(METRICS_PORT)}",
        )

    def _library_path(self) -> tuple[Path, ...]:
        return tuple(folder for folder in (self._bundled, self._python_library) if folder is not None)

    def _prepare(self) -> None:
        """Lay out the backends afresh, and clear away the shared memory that a killed server left."""
        remove_shared_memory(self._instance)
        _make_reachable(self._instance)
        shutil.rmtree(self._backends, ignore_errors=True)
        python = self._backends / "python"
        shutil.copytree(self._server_folder / "backends/python", python)
        shutil.copy2(_stub(self._server_folder), python)
        shutil.copytree(
            checkout() / "triton_config/backends/onnxruntime",
            self._backends / "onnxruntime",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        self._instance.model_repository.mkdir(parents=True, exist_ok=True)

    def _find_python_library(self, packages: Packages, report: Report) -> Path | None:
        """Return the folder of this Python's shared library; Debian's python3 comes without."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        file_name = f"libpython{version}.so.1.0"
        folder = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
        if (folder / file_name).exists():
            return folder
        if not missing_libraries(_stub(self._server_folder), (self._bundled,)):
            return None
        return packages.library(file_name, f"libpython{version}", report=report)

    def _check_libraries(self) -> None:
        for binary in (
            self._server_folder / "bin/tritonserver",
            self._server_folder / "backends/python/libtriton_python.so",
            _stub(self._server_folder),
        ):
            missing = missing_libraries(binary, self._library_path())
            if missing:
                raise LocalStackError(
                    f"Triton cannot run here: {binary.name} needs {', '.join(missing)}. Please install the"
                    " packages that hold them, or set TAGDESK_TRITON_URL to a Triton elsewhere."
                )


def server_flags(admin_key: str) -> tuple[str, ...]:
    """Return the flags that every server of this project gets, from triton_config/server.flags."""
    text = (checkout() / "triton_config/server.flags").read_text()
    lines = (line.strip() for line in string.Template(text).substitute(ADMIN_KEY=admin_key).splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def shared_memory_prefix(instance: Instance) -> str:
    """Return how the names of an instance's shared memory begin; no two instances have the same."""
    digest = hashlib.sha256(str(instance.folder.resolve()).encode()).hexdigest()[:12]
    return f"tagdesk_{digest}_"


def shared_memory(instance: Instance) -> Iterator[Path]:
    """Yield the shared memory files of an instance."""
    yield from _SHARED_MEMORY.glob(f"{shared_memory_prefix(instance)}*")


def remove_shared_memory(instance: Instance) -> None:
    """Remove the shared memory files of an instance whose server does not run."""
    for file in shared_memory(instance):
        file.unlink(missing_ok=True)


def reachable(instance: Instance) -> Path:
    """Return a path of the instance's folder without blanks: the server starts its backends by a shell, which
    would divide it there. Where the folder's own path has some, it is a link among the temporary files."""
    folder = instance.folder.resolve()
    if not any(character.isspace() for character in str(folder)):
        return folder
    return Path(tempfile.gettempdir()) / shared_memory_prefix(instance).rstrip("_")


def _make_reachable(instance: Instance) -> None:
    """Make the link that `reachable` may name. Raises LocalStackError where somebody else's file is there."""
    link, folder = reachable(instance), instance.folder.resolve()
    if link == folder:
        return
    if not link.is_symlink():
        link.symlink_to(folder)
    if link.lstat().st_uid != os.geteuid() or link.readlink() != folder:
        raise LocalStackError(f"{link} is not the link to {folder} that Triton needs; please remove it")


def remove_reachable(instance: Instance) -> None:
    """Remove the link again."""
    link = reachable(instance)
    if link.is_symlink() and link != instance.folder.resolve():
        link.unlink(missing_ok=True)


def _wheel() -> tuple[Path, Path]:
    """Return the server's folder and that of its libraries, without importing the wheel's client."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise LocalStackError("the Python package nvidia-pytriton is not installed; `make demo` installs it")
    package = Path(spec.submodule_search_locations[0])
    return package / "tritonserver", package.parent / "nvidia_pytriton.libs"


def _stub(server_folder: Path) -> Path:
    """Return the backend process's binary for this Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server_folder / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.exists():
        raise LocalStackError(f"Triton's python backend knows no Python {version}: use 3.11, 3.12 or 3.13")
    if not os.access(stub, os.X_OK):
        raise LocalStackError(f"{stub} may not be executed: is the checkout mounted noexec?")
    return stub
