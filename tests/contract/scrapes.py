"""Reading what Prometheus would read."""

import re
from collections.abc import Iterable

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from orchestrator.api.table import operations
from orchestrator.records import Priority
from orchestrator.telemetry import Stage

ALLOWED = {
    "queue": set(Priority),
    "stage": set(Stage),
    "model": {"wd14"},
    "version": {"1"},
    "source": {"danbooru"},
    "route": {*(one.path for one in operations()), "unmatched", "/desk/static"},
    "method": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"},
}
"""Every value that a label may have; those of other labels are short names."""


def scrape(address: str) -> list[Sample]:
    """Parse every sample that is served at an address."""
    response = httpx.get(address, trust_env=False, timeout=20)
    assert response.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return [sample for family in families for sample in family.samples]


def total(samples: Iterable[Sample], name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels. Raises AssertionError where none has."""
    found = [one.value for one in samples if one.name == name and labels.items() <= one.labels.items()]
    assert found, f"there is no {name} with {labels}"
    return sum(found)


def assert_bounded(samples: Iterable[Sample]) -> None:
    """No label's values come from outside: they are few, whatever people call or upload."""
    for sample in samples:
        for label, found in sample.labels.items():
            known = ALLOWED.get(label)
            where = (sample.name, label, found)
            assert known is None or found in known, where
            assert known is not None or re.fullmatch(r"[a-z0-9_.+e-]{0,40}|\+Inf", found), where
