"""The command line: `tagdesk --help`."""

from orchestrator.cli.app import main

__all__ = ["main"]
