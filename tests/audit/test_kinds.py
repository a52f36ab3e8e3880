"""The kinds of objects that the audit log tells of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import maimconfig
from maimconfig.audit.service import KINDS

PACKAGE = Path(maimconfig.__file__).parent


def actions() -> Iterator[str]:
    """The first words of all actions that the package records."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record"):
                continue
            action = node.args[1]
            text = action.values[0] if isinstance(action, ast.JoinedStr) else action
            assert isinstance(text, ast.Constant), ast.unparse(node)
            yield str(text.value).partition(".")[0]


def test_all_are_known() -> None:
    """Each kind that is recorded can be asked for, and no other is taken for one."""
    assert set(actions()) == KINDS
