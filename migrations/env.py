"""Runs migrations against the database that `TAGDESK_DATABASE_URL` names, through the synchronous driver.

MariaDB commits implicitly at every DDL statement, so a migration that fails half-way leaves what it did;
each version is therefore written so that its statements can be read, and undone, one by one.
"""

import os
from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, pool

ASYNC_SCHEME = "mysql+asyncmy://"
SYNC_SCHEME = "mysql+pymysql://"


def _url() -> str:
    """The application's address, with the driver that Alembic can use."""
    url = context.config.attributes.get("database_url") or os.environ["TAGDESK_DATABASE_URL"]
    return str(url).replace(ASYNC_SCHEME, SYNC_SCHEME, 1)


def _run() -> None:
    """Apply the versions asked for, on one connection in UTC."""
    if context.config.config_file_name is not None and context.config.attributes.get(
        "configure_logger", True
    ):
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    engine = create_engine(
        _url(),
        poolclass=pool.NullPool,
        connect_args={"init_command": "SET time_zone = '+00:00'", "charset": "utf8mb4"},
    )
    try:
        with engine.connect() as connection:
            context.configure(connection=connection, target_metadata=None)
            with context.begin_transaction():
                context.run_migrations()
            connection.commit()
    finally:
        engine.dispose()


_run()
