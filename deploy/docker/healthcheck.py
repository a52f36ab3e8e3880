"""The health check of the image: ends with 0 when the service may be given requests."""

import os
import sys
import urllib.request

PLANES = (
    ("MAIMCONFIG_INTERNAL_BIND", "127.0.0.1:8000"),
    ("MAIMCONFIG_PUBLIC_BIND", "127.0.0.1:8880"),
)


def address() -> str:
    """Where the first plane that is on can be reached from within the container."""
    binds = (os.environ.get(name, default) for name, default in PLANES)
    host, _, port = next(bind for bind in binds if bind).rpartition(":")
    return f"{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port}"


try:
    # Ends in an exception for every status but 200.
    urllib.request.urlopen(f"http://{address()}/health/ready", timeout=5).close()
except OSError as error:
    sys.exit(f"not ready: {error}")
