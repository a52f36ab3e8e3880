"""docs/api.md: each of its flows runs as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "api.md"
PUBLIC = "http://127.0.0.1:8880"
RUNNERS = {
    "sh": ["bash", "-euo", "pipefail", "-s"],
    "js": ["node", "--input-type=module", "-"],
    "python": [sys.executable, "-"],
}


def _snippet(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return found


@pytest.mark.parametrize("language", RUNNERS)
def test_flow(live_service: Callable[..., Any], language: str) -> None:
    """The flow of the guide works as it is written, in each language, and ends with a key."""
    command = RUNNERS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    script = _snippet(language)
    assert PUBLIC in script
    ran = subprocess.run(
        command,
        input=script.replace(PUBLIC, live_service().public),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"mmc_[A-Za-z0-9+/=]{40,}", ran.stdout), ran.stdout
