"""Migrations on a real server: up, down and up again, by the command that people use."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy.engine import URL, make_url

INI = Path(__file__).parents[2] / "migrations" / "alembic.ini"


@pytest.fixture
def empty_database(database_url: str) -> Iterator[URL]:
    """A database of its own beside the run's."""
    own = make_url(database_url)
    url = own.set(database=f"{own.database}_migrations")
    with administer(own) as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {url.database}")
        cursor.execute(f"CREATE DATABASE {url.database} CHARACTER SET utf8mb4")
    yield url
    with administer(own) as cursor:
        cursor.execute(f"DROP DATABASE {url.database}")


class administer:  # noqa: N801
    """A cursor on a synchronous connection."""

    def __init__(self, url: URL) -> None:
        self._connection = pymysql.connect(
            host=url.host or "",
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            database=url.database,
            autocommit=True,
        )

    def __enter__(self) -> pymysql.cursors.Cursor:
        return self._connection.cursor()

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def alembic(url: URL, *arguments: str) -> None:
    environment = os.environ | {"TAGDESK_DATABASE_URL": url.render_as_string(hide_password=False)}
    subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(INI), *arguments], env=environment, check=True, cwd="/"
    )


def schema(url: URL) -> dict[str, str]:
    """Every table's definition, and the seed rows that belong to the schema."""
    with administer(url) as cursor:
        cursor.execute("SHOW TABLES")
        tables = [row[0] for row in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f"SHOW CREATE TABLE {table}")
            found[table] = cursor.fetchone()[1]
        if "rules_version" in tables:
            cursor.execute("SELECT id, version FROM rules_version")
            found["seed of rules_version"] = repr(cursor.fetchall())
        return found


def test_the_schema_goes_up_down_and_up_again_to_the_same(empty_database: URL) -> None:
    alembic(empty_database, "upgrade", "head")
    first = schema(empty_database)

    alembic(empty_database, "downgrade", "base")
    assert set(schema(empty_database)) == {"alembic_version"}

    alembic(empty_database, "upgrade", "head")
    assert schema(empty_database) == first
    alembic(empty_database, "upgrade", "head")
    assert schema(empty_database) == first


def test_names_from_outside_compare_byte_by_byte(database_url: str) -> None:
    with administer(make_url(database_url)) as cursor:
        cursor.execute(
            "SELECT table_name, collation_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE()"
            " AND column_name IN ('title', 'external_tag', 'source_location')"
        )
        rows = cursor.fetchall()

    assert {row[0] for row in rows} == {
        *("tags", "tag_mappings", "mapping_changes", "unmapped_tags", "images")
    }
    assert {row[1] for row in rows} == {"utf8mb4_nopad_bin"}


def test_tables_that_every_writer_shares_carry_no_foreign_keys(database_url: str) -> None:
    with administer(make_url(database_url)) as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.referential_constraints"
            " WHERE constraint_schema = DATABASE()"
        )
        bound = {row[0] for row in cursor.fetchall()}

    assert "suggestions" in bound
    assert not bound & {"tag_counters", "unmapped_tags", "raw_predictions", "exposures", "outbox"}
