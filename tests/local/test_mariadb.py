"""How the local MariaDB is started."""

import pytest
import services

from orchestrator.local.errors import LocalStackError
from orchestrator.local.mariadb import MariaDb
from orchestrator.local.packages import Packages
from orchestrator.local.stack import quiet


def command() -> tuple[str, ...]:
    instance = services.test_instance(f"flags-{services.worker_number()}")
    return MariaDb(instance, Packages(instance.packages), hasty=False, report=quiet).part().command


def test_its_memory_for_pages_is_chosen_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAGDESK_BUFFER_POOL", raising=False)
    assert "--innodb-buffer-pool-size=256M" in command()
    monkeypatch.setenv("TAGDESK_BUFFER_POOL", "4G")
    assert "--innodb-buffer-pool-size=4G" in command()


@pytest.mark.parametrize("size", ["lots", "4 G", "0M", "4G --skip-grant-tables"])
def test_what_is_no_size_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("TAGDESK_BUFFER_POOL", size)
    with pytest.raises(LocalStackError, match="TAGDESK_BUFFER_POOL"):
        command()
