"""`python -m infra.local.probe URL`: exit status 0 when a GET answers with 2xx. The health check of the containers.

Standard library only, so that a probe every few seconds costs little.
"""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0


def main(url: str) -> int:
    """Ask once; urllib takes every status from 400 on for an error."""
    if not url.startswith("http://127.0.0.1:"):
        sys.stderr.write("only a port of this machine is probed\n")
        return 2
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S):  # noqa: S310 - the scheme was checked above
            return 0
    except (urllib.error.URLError, OSError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
