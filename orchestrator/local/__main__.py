"""`python -m orchestrator.local`: the stack's commands by themselves."""

from orchestrator.local.commands import app

app()
