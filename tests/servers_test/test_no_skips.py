"""Skips in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TESTS = """
import pytest

@pytest.mark.skip(reason="too hot")
def test_marked(): pass

def test_called(): pytest.skip("too cold")

@pytest.fixture
def nowhere(): pytest.skip("too far")

def test_from_a_fixture(nowhere): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", "1 failed, 1 xfailed, 2 errors"), ("", "3 skipped, 1 xfailed")]
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skip_fails_in_ci(tmp_path: Path, ci: str, outcome: str, workers: str) -> None:
    """With CI=true what would be skipped fails with the reason; an expected failure does not."""
    (tmp_path / "test_skips.py").write_text(TESTS)
    done = run_pytest(tmp_path, ci, f"-n{workers}")
    assert outcome in done.stdout
    assert (done.returncode != 0) == bool(ci)
    for reason in ("too hot", "too cold", "too far"):
        assert reason in done.stdout


def test_a_skipped_module_fails_in_ci(tmp_path: Path) -> None:
    """pytest.importorskip for a whole module is no way out either."""
    (tmp_path / "test_skips.py").write_text("import pytest\npytest.importorskip('no_such_thing')\n")
    done = run_pytest(tmp_path, "true")
    assert "could not import 'no_such_thing'" in done.stdout
    assert "1 error" in done.stdout
    assert done.returncode != 0


def run_pytest(folder: Path, ci: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of the folder with the plugin and pytest-xdist, and nothing else."""
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "tests.no_skips", "-p", "xdist"]
    alone = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [*command, *arguments, str(folder)],
        cwd=folder,
        env={**os.environ, **alone, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
