"""A private MariaDB: its own data folder, loopback only, no root password left open, no system service."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.local.errors import LocalStackError
from orchestrator.local.instance import Instance, Memory, write_private
from orchestrator.local.packages import Packages, Program, Report
from orchestrator.local.parts import Part, PartName
from orchestrator.local.ports import LOOPBACK

DATABASE, USER = "tagdesk", "tagdesk"
_UNPRIVILEGED = "nobody"
BUFFER_POOL = "TAGDESK_BUFFER_POOL"
"""The variable that says how much memory the server has for pages: enough for a demo board unless set."""

# Relative to the data folder, in which the server works: a socket's path may be 107 bytes long at most.
_SOCKET = "mariadb.sock"


@dataclass(frozen=True, slots=True)
class _Account:
    """Whom the server runs as: `prefix` goes before every command of its own."""

    prefix: tuple[str, ...]
    arguments: tuple[str, ...]
    uid: int
    gid: int


class MariaDb:
    """The database part of an instance."""

    def __init__(self, instance: Instance, packages: Packages, *, hasty: bool, report: Report) -> None:
        """`hasty`: for tests; commits need not survive a power cut, and snapshot conflicts are reported as
        newer servers do. Brings the program if the system has none; raises LocalStackError."""
        self._instance = instance
        self._memory = Memory(instance)
        self._hasty = hasty
        self._report = report
        self._server = packages.program(
            "mariadbd", "mariadb-server-core", "mariadb-client-core", report=report
        )
        self._installer = packages.program(
            "mariadb-install-db", "mariadb-server-core", "mariadb-client-core", report=report
        )

    @property
    def _folder(self) -> Path:
        return self._instance.folder / "mariadb"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def part(self) -> Part:
        """Return what the supervisor has to run."""
        account = self._account()
        return Part(
            name=PartName.MARIADB,
            command=(*account.prefix, str(self._server.path), *self._arguments(account)),
            environment=self._server.environment(),
            start_timeout=60,
            stop_timeout=30,
            prepare=lambda: self._prepare(account),
        )

    def url(self, database: str = DATABASE) -> str:
        """Return the address of a database for the application."""
        port = self._memory.port(PartName.MARIADB)
        return f"mysql+asyncmy://{USER}:{self._memory.secret(PartName.MARIADB)}@{LOOPBACK}:{port}/{database}"

    def _arguments(self, account: _Account) -> tuple[str, ...]:
        return (
            "--no-defaults",
            *_places(self._server),
            *account.arguments,
            f"--datadir={self._data}",
            f"--socket={_SOCKET}",
            f"--pid-file={self._data / 'mariadb.pid'}",
            f"--port={self._memory.port(PartName.MARIADB)}",
            f"--bind-address={LOOPBACK}",
            f"--init-file={self._folder / 'accounts.sql'}",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--default-time-zone=+00:00",
            "--max-connections=200",
            "--max-allowed-packet=64M",
            f"--innodb-buffer-pool-size={_buffer_pool()}",
            "--innodb-log-file-size=64M",
            "--loose-innodb-log-file-mmap=OFF",
            f"--innodb-flush-log-at-trx-commit={2 if self._hasty else 1}",
            *(("--loose-innodb-snapshot-isolation=ON",) if self._hasty else ()),
        )

    def _account(self) -> _Account:
        """Choose whom the server runs as: us, but for root, for whom it is an ordinary user."""
        if os.geteuid() != 0:
            return _Account((), (), os.geteuid(), os.getegid())
        user = pwd.getpwnam(_UNPRIVILEGED)
        prefix = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        self._folder.mkdir(parents=True, exist_ok=True)
        if shutil.which("setpriv") and _can_use(prefix, self._folder, self._server.path):
            return _Account(prefix, (), user.pw_uid, user.pw_gid)
        self._report(
            f"MariaDB runs as root: the user {_UNPRIVILEGED} cannot reach {self._folder} (move the checkout"
            " to a folder that every user may enter to change that)"
        )
        return _Account((), ("--user=root",), 0, 0)

    def _prepare(self, account: _Account) -> None:
        """Make the data folder if there is none, and what gives the application its account."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._data.is_dir():
            self._install(account)
        (self._data / _SOCKET).unlink(missing_ok=True)
        password = self._memory.secret(PartName.MARIADB)
        accounts = self._folder / "accounts.sql"
        # One statement a line, as --init-file wants it.
        write_private(
            accounts,
            f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS '{USER}'@'{LOOPBACK}';\n"
            f"ALTER USER '{USER}'@'{LOOPBACK}' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'{LOOPBACK}';\n",
        )
        os.chown(accounts, account.uid, account.gid)

    def _install(self, account: _Account) -> None:
        self._report("making an empty database")
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        os.chown(fresh, account.uid, account.gid)
        # The installer is a shell script that takes no spaces in paths: it gets others.
        with tempfile.TemporaryDirectory(prefix="tagdesk-") as short:
            Path(short).chmod(0o755)
            base, data = Path(short, "base"), Path(short, "data")
            base.symlink_to(self._server.prefix)
            data.symlink_to(fresh)
            server = replace(self._server, prefix=base)
            installer = base / self._installer.path.relative_to(self._installer.prefix)
            done = subprocess.run(
                (
                    *account.prefix,
                    str(installer),
                    "--no-defaults",
                    f"--basedir={base}",
                    *_places(server)[1:],
                    *account.arguments,
                    f"--datadir={data}",
                    "--skip-test-db",
                    "--skip-name-resolve",
                    "--auth-root-authentication-method=socket",
                    "--innodb-log-file-size=64M",
                ),
                env={**os.environ, **self._server.environment()},
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=120,
                cwd=fresh,
            )
        if done.returncode != 0:
            output = (done.stdout + done.stderr).strip()
            raise LocalStackError(f"an empty database cannot be made in {fresh}:\n{output}")
        fresh.rename(self._data)


def _places(server: Program) -> tuple[str, ...]:
    """Return the arguments that tell an unpacked server where its files are."""
    if not server.library_path:
        return ()
    share, plugins = server.prefix / "share", server.prefix / "lib"
    messages = share / ("mariadb" if (share / "mariadb/english").is_dir() else "mysql")
    plugin_dir = next((f for f in (plugins / "mysql/plugin", plugins / "mariadb/plugin") if f.is_dir()), None)
    return (
        f"--basedir={server.prefix}",
        f"--lc-messages-dir={messages}",
        *((f"--plugin-dir={plugin_dir}",) if plugin_dir else ()),
    )


def _can_use(prefix: tuple[str, ...], folder: Path, program: Path) -> bool:
    """Whether whoever `prefix` makes of us may enter `folder` and run `program`."""
    command = (*prefix, "sh", "-c", 'cd "$1" && test -x "$2"', "sh", str(folder), str(program))
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _buffer_pool() -> str:
    """Return the server's memory for pages. Raises LocalStackError."""
    size = os.environ.get(BUFFER_POOL) or "256M"
    if re.fullmatch(r"[1-9][0-9]{0,5}[MG]", size) is None:
        raise LocalStackError(f"{BUFFER_POOL} is {size!r}: write a size like 256M or 4G")
    return size
