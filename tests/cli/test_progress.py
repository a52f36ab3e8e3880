"""How far a long command is."""

from __future__ import annotations

import io

import pytest

from maimconfig.cli.progress import progress


class Terminal(io.StringIO):
    """What a terminal was told."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(("stderr", "is_shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_progress(stderr: io.StringIO, is_shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal is shown what is done and how far, from the first to the last; nobody else is
    shown anything."""
    monkeypatch.setattr("sys.stderr", stderr)
    with progress("Backing up") as told:
        told(1, 4)
        told(4, 4)
    shown = stderr.getvalue()
    assert ("Backing up" in shown, "100%" in shown) == (is_shown, is_shown)
