"""Exports curves with the command line, without the budget of requests: that takes time, but no processor time."""

import asyncio
import sys
from time import process_time

from cli.app import run
from custom_components.mtec.portal import rate_limiter

EMAIL, PASSWORD = "family@example.com", "sunshine"


def export(url: str, first: str, last: str, path: str) -> int:
    """Write the curves of some days to a file, and return the exit code."""
    vars(rate_limiter)["REQUESTS_A_MINUTE"] = 1_000_000
    account = ["--url", url, "--email", EMAIL, "--password", PASSWORD]
    return asyncio.run(run([*account, "usage", "--type", "day", "--start", first, "--end", last, "--file", path]))


if __name__ == "__main__":
    started = process_time()
    code = export(sys.argv[1], *sys.argv[3:6])
    print(process_time() - started)
    sys.exit(code)
