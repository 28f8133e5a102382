"""One user of each role, with tokens that stay the same from run to run."""

import json
from pathlib import Path

from orchestrator import accounts
from orchestrator.local.instance import write_private
from orchestrator.records import Role, User
from orchestrator.store.unit_of_work import Store


async def load_people(store: Store, tokens_file: Path) -> dict[Role, User]:
    """Make sure that every role has its user, and that `tokens_file` has a token of each that works.

    The file is readable by its owner only; a token in it is adopted again by an emptied database.
    """
    tokens = read_tokens(tokens_file)
    people: dict[Role, User] = {}
    for role in Role:
        user = await accounts.find_user(store, role)
        people[role] = user or await accounts.create_user(store, name=role, role=role)
        token = tokens.get(role)
        if token is None:
            tokens[role] = await accounts.issue_token(store, people[role], name="demo")
        else:
            await accounts.adopt_token(store, people[role], token, name="demo")
    write_private(tokens_file, json.dumps(tokens, indent=1))
    return people


def read_tokens(tokens_file: Path) -> dict[Role, str]:
    """Return the demo's tokens by role; none where the demo did not run."""
    try:
        content: dict[str, str] = json.loads(tokens_file.read_text())
    except FileNotFoundError:
        return {}
    return {Role(name): token for name, token in content.items()}
