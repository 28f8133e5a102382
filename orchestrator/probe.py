"""`python -m orchestrator.probe URL`: whether an address answers; for the healthchecks of containers.

Ends with status 0 when it does, with 1 and a line that says why when it does not. There is no curl in the
image. Imports nothing but the standard library: it is run every few seconds.
"""

import sys
import urllib.request
from http.client import HTTPException

TIMEOUT = 3.0


def problem(url: str) -> str | None:
    """Return why `url` does not answer with success within TIMEOUT seconds; None when it does."""
    # A proxy of the container's environment would be asked for the container's own addresses, too.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=TIMEOUT) as answer:
            answer.read()
    except (OSError, HTTPException) as error:  # URLError and HTTPError are OSErrors
        return f"{url}: {error}"
    return None


def main() -> int:
    """Ask the address on the command line; returns the exit status."""
    if len(sys.argv) != 2:
        print(f"usage: python -m {__spec__.name} URL", file=sys.stderr)  # noqa: T201
        return 2
    found = problem(sys.argv[1])
    if found is not None:
        print(found, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
