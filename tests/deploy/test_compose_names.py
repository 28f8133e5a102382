"""Names in the compose file and Prometheus's configuration are those of the code and the programs."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compose_file import FILE, OWN, document, folder_of, services, variable_names
from containers import make_secrets
from services import Stack, test_instance, worker_number

from orchestrator.local.instance import checkout
from orchestrator.local.mariadb import MariaDb
from orchestrator.local.packages import Packages
from orchestrator.local.redis import Redis
from orchestrator.local.stack import quiet
from orchestrator.local.triton import server_flags
from orchestrator.settings import Settings, load_settings

SERVICES = services()
READ_BY_OTHERS = {"TAGDESK_SECRETS_DIR", "PROMETHEUS_MULTIPROC_DIR"}
HEALTH_PATHS = {"/health/live", "/metrics"}


def settings_variables() -> set[str]:
    return {f"TAGDESK_{name.upper()}" for name in Settings.model_fields}


def own_addresses(name: str) -> set[int]:
    """Return the ports that a service listens on, from its command and environment."""
    service = SERVICES[name]
    text = " ".join([*service.command, service.environment.get("TAGDESK_METRICS_PORT", "")])
    return {int(port) for port in re.findall(r"(?<![\w.])(?:6379|8000|8001|8002|9090|9191)\b", text)}


def help_of(*command: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [*command, "--help"],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_variables_of_our_containers_are_settings() -> None:
    for name in OWN:
        unknown = set(SERVICES[name].environment) - settings_variables() - READ_BY_OTHERS
        assert not unknown, name


def test_secrets_are_settings_or_passwords_of_a_server() -> None:
    passwords = {"mariadb_password", "redis_password"}
    names = set(document()["secrets"])
    assert {
        f"TAGDESK_{name.removeprefix('tagdesk_').upper()}" for name in names - passwords
    } <= settings_variables()
    for name, service in SERVICES.items():
        held = set(service.secrets)
        assert (held & passwords) == ({f"{name}_password"} if name in ("mariadb", "redis") else set()), name
        # Whoever does not change what Triton serves has no key to it.
        may = name in ("triton", "api", "keeper")
        assert ("tagdesk_triton_admin_key" in held) == may, name


def test_the_page_makes_exactly_the_secrets_that_the_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given the commands of docs/gpu.md, when they ran, then settings load from them and the passwords of
    both sides agree; when they run again, then they fail and change nothing."""
    folder = make_secrets(tmp_path)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == set(document()["secrets"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in folder.iterdir())
    for name, value in SERVICES["api"].environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TAGDESK_SECRETS_DIR", str(folder))
    settings = load_settings()
    assert settings.database_url.get_secret_value() == (
        f"mysql+asyncmy://tagdesk:{made['mariadb_password']}@mariadb:3306/tagdesk"
    )
    assert settings.redis_url.get_secret_value() == f"redis://:{made['redis_password']}@redis:6379/0"
    drawn = [made[name] for name in made if not name.endswith("_url")]
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in drawn)
    assert len(set(drawn)) == 4
    with pytest.raises(subprocess.CalledProcessError):
        make_secrets(tmp_path)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    assert list(tmp_path.iterdir()) == [folder]


def test_addresses_name_a_service_and_a_port_it_listens_on() -> None:
    text = "\n".join(line for line in FILE.read_text().splitlines() if not line.strip().startswith("#"))
    text += (FILE.parent / "triton_config/prometheus/prometheus.yml").read_text()
    named = re.findall(r"\b([a-z-]+):(\d{4})\b", text)
    found = {(host, int(port)) for host, port in named if host in SERVICES}
    assert found == {("triton", 8001), ("triton", 8002)}
    for host, port in found:
        assert port in own_addresses(host)


def test_prometheus_asks_ports_that_services_listen_on() -> None:
    configuration = yaml.safe_load(folder_of("triton_config/prometheus/prometheus.yml").read_text())
    asked: dict[str, int] = {}
    for job in configuration["scrape_configs"]:
        assert set(job) <= {"job_name", "static_configs", "dns_sd_configs"}
        for group in job.get("dns_sd_configs", []):
            assert set(group) == {"names", "type", "port"}
            assert group["names"] == [job["job_name"]]
            assert group["type"] == "A"
            asked[job["job_name"]] = group["port"]
        for group in job.get("static_configs", []):
            (target,) = group["targets"]
            asked[job["job_name"]] = int(target.rpartition(":")[2])
    assert set(configuration) == {"global", "scrape_configs"}
    assert set(asked) == set(SERVICES) - {"mariadb", "redis", "models", "migrate"}
    for name, port in asked.items():
        assert port in own_addresses(name), name
        assert "inside" in SERVICES[name].keys["networks"], name


def test_healthchecks_ask_what_is_served_in_the_container() -> None:
    for name in ("api", "worker-live", "worker-backfill", "keeper", "prometheus"):
        address = SERVICES[name].healthcheck[-1]
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/.+)", address)
        assert match is not None, name
        assert int(match[1]) in own_addresses(name), name
        assert match[2] in (HEALTH_PATHS if name in OWN else {"/-/healthy"}), name
    (published,) = SERVICES["api"].keys["ports"]
    assert int(published.rpartition(":")[2]) in own_addresses("api")
    assert SERVICES["triton"].healthcheck[-1] == "8000"


@pytest.mark.parametrize("name", [name for name in OWN if name != "models"])
def test_commands_exist_and_know_their_flags(name: str) -> None:
    program, *arguments = SERVICES[name].command
    if program == "tagdesk":
        (script,) = importlib.metadata.entry_points(group="console_scripts", name="tagdesk")
        assert script.value == "orchestrator.cli:main"
        command = [str(Path(sys.executable).parent / "tagdesk"), arguments[0]]
        assert "Usage" in help_of(*command)
        return
    assert program == "python"
    assert arguments[0] == "-m"
    if arguments[1] == "orchestrator.keeper":
        assert arguments[2:] == []  # it takes none; test_without_engine runs it
        return
    text = help_of(sys.executable, "-m", arguments[1])
    assert "usage" in text.lower()
    assert {one for one in arguments if one.startswith("--")} <= set(re.findall(r"--[a-z-]+", text))


def test_flags_of_triton_are_known_to_the_embedded_server(stack: Stack) -> None:
    from orchestrator.local.triton import Triton

    part = Triton(stack.instance, Packages(stack.instance.packages), report=quiet).part()
    text = help_of(part.command[0], environment=dict(part.environment))
    known = set(re.findall(r"^\s*(--[a-z0-9-]+)", text, re.MULTILINE))
    assert len(known) > 50, text
    given = [*server_flags("key"), *SERVICES["triton"].command[2:]]
    assert {flag.partition("=")[0] for flag in given} <= known
    # Nothing is said twice: what server.flags says holds everywhere.
    names = [flag.partition("=")[0] for flag in given]
    assert len(names) == len(set(names))


def test_mariadb_gets_the_settings_of_the_local_stack() -> None:
    """Only what depends on the place differs: folders, ports, accounts; and how much memory it may have."""
    instance = test_instance(f"settings-{worker_number()}")
    local = MariaDb(instance, Packages(instance.packages), hasty=False, report=quiet).part().command
    places = {"basedir", "datadir", "socket", "pid-file", "port", "bind-address", "init-file", "user"}
    places |= {"no-defaults", "lc-messages-dir", "plugin-dir", "reuid", "regid", "clear-groups"}

    def named(command: tuple[str, ...]) -> dict[str, str]:
        pairs = (part.removeprefix("--").partition("=") for part in command if part.startswith("--"))
        return {name: value for name, _, value in pairs if name not in places}

    ours, theirs = named(SERVICES["mariadb"].command), named(local)
    assert ours.pop("innodb-buffer-pool-size") == "1G"
    assert theirs.pop("innodb-buffer-pool-size") == "256M"
    assert ours == theirs


def test_redis_gets_the_settings_of_the_local_stack() -> None:
    instance = test_instance(f"settings-{worker_number()}")
    instance.create()
    Redis(instance, Packages(instance.packages), report=quiet).part().prepare()
    places = {"bind", "port", "requirepass", "dir", "daemonize"}
    local = (instance.folder / "redis/redis.conf").read_text().splitlines()
    inner = SERVICES["redis"].command[-1].partition("<<END\n")[2].removesuffix("END\n").splitlines()

    def named(lines: list[str]) -> dict[str, str]:
        pairs = (line.partition(" ") for line in lines)
        return {name: value for name, _, value in pairs if name not in places}

    assert named(inner) == named(local)


def test_the_page_lists_every_variable_with_its_default() -> None:
    page = (checkout() / "docs/gpu.md").read_text()
    rows = re.findall(r"^\| ((?:`TAGDESK_[A-Z_]+`(?:, )?)+) \|([^|]*)\|", page, re.MULTILINE)
    documented = {
        name: default.strip(" `")
        for names, defaults in rows
        for name, default in zip(re.findall(r"`(\w+)`", names), defaults.split(","), strict=True)
    }
    assert set(documented) == variable_names()
    defaults = dict(re.findall(r"\$\{(\w+):-((?:[^${}]|\$\{[^}]*\})*)\}", FILE.read_text()))
    defaults["TAGDESK_PUBLIC_URL"] = "http://127.0.0.1:PORT"
    defaults["TAGDESK_PORT"] = "8000"
    assert documented == {name: defaults[name] for name in documented}
