"""The change stamp of everything that the rules rest on: tags, mappings, thresholds, active versions.

Workers keep the plan they built and compare one number before each image. Writers bump it last, so that the
row is held only for the end of their transaction.

Aliases and hierarchy decide which pending rows are redundant. So whoever adds links or pending rows shares
the row (`hold`, after the images' locks) while reading them, and whoever changes them has it alone (`lock`,
before anything else): once a change is committed, nobody under way still goes by what was before.
"""

from orchestrator.store.transaction import Transaction


async def current(tx: Transaction) -> int:
    """Return the stamp. Equal stamps mean equal rule inputs."""
    row = await tx.fetch_one("SELECT version FROM rules_version WHERE id = 1")
    return 0 if row is None else int(row["version"])


async def bump(tx: Transaction) -> None:
    """Say that rule inputs changed."""
    await tx.execute(
        "INSERT INTO rules_version (id, version) VALUES (1, 1) ON DUPLICATE KEY UPDATE version = version + 1"
    )


async def hold(tx: Transaction) -> None:
    """Keep aliases and hierarchy as they are until this transaction ends."""
    await tx.fetch_rows("SELECT version FROM rules_version WHERE id = 1 LOCK IN SHARE MODE")


async def lock(tx: Transaction) -> None:
    """Wait until nobody holds aliases and hierarchy any more, and have them alone. Take it first."""
    await tx.fetch_rows("SELECT version FROM rules_version WHERE id = 1 FOR UPDATE")
