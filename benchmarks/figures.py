"""Figures of a benchmark: a table for people, a line of JSON for programs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figures:
    """What a benchmark measured; names end in their unit."""

    name: str
    what: str
    values: Mapping[str, float | int | str]

    def show(self) -> None:
        """Print the table, and the JSON object as the last line."""
        table = Table(title=self.what)
        table.add_column("figure")
        table.add_column(self.name, justify="right")
        for name, value in self.values.items():
            table.add_row(name, str(value))
        console = Console()
        console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        console.print(table)
        typer.echo(json.dumps({"benchmark": self.name, **self.values}))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` percent of `values` do not exceed."""
    ordered = sorted(values)
    position = -(-len(ordered) * share // 100)
    return ordered[max(0, int(position) - 1)]
