"""Binding to a CPU."""

from __future__ import annotations

import os

import pytest

from maimconfig.serving.affinity import bind_to_cpu


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """A system that allows CPUs 2, 5 and 7, and what it was asked for."""
    asked: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {7, 2, 5}, raising=False)
    monkeypatch.setattr(
        os, "sched_setaffinity", lambda pid, cpus: asked.append(cpus), raising=False
    )
    return asked


@pytest.mark.parametrize(("index", "cpu"), [(0, 2), (1, 5), (2, 7), (3, 2), (10, 5)])
def test_bind(system: list[set[int]], index: int, cpu: int) -> None:
    """The index counts round among the CPUs that are allowed."""
    assert bind_to_cpu(index) == cpu
    assert system == [{cpu}]


def test_one_cpu(system: list[set[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """With one CPU there is nothing to do."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert bind_to_cpu(0) is None
    assert system == []


def test_forbidden(system: list[set[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where binding is forbidden the process stays unbound."""

    def refuse(pid: int, cpus: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    assert bind_to_cpu(0) is None


def test_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no affinity nothing happens."""
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert bind_to_cpu(0) is None
