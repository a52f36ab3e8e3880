"""Where it is told what callers saw: on stderr (pytest -s), and in MAIMCONFIG_TEST_REPORT."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path


def publish(title: str, lines: Iterable[str]) -> None:
    """Tell what callers saw during one fault."""
    text = "\n".join([f"== {title}", *lines, ""])
    sys.stderr.write(f"\n{text}\n")
    if name := os.environ.get("MAIMCONFIG_TEST_REPORT"):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
