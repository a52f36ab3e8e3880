"""The documents: what they point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maimconfig.settings import Settings, variable_names

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "instance/*.md")
    for path in sorted(ROOT.glob(pattern))
]
# Understood without being rows of Settings: parts of DATABASE_URL and of the bind, and what the
# tests themselves read.
FURTHER = {
    "DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD",
    "MAIMCONFIG_TEST_FUZZ_EXAMPLES", "MAIMCONFIG_TEST_OUTAGE_SECONDS", "MAIMCONFIG_TEST_REPORT",
    "MAIMCONFIG_TEST_MYSQL_URL", "MAIMCONFIG_TEST_REDIS_URL",
    "MAIMCONFIG_TEST_BRUTE_FORCE_TRIES", "MAIMCONFIG_TEST_KILL_ROUNDS", "MAIMCONFIG_TEST_FRAMES",
    "MAIMCONFIG_TEST_CHURN_CLIENTS", "MAIMCONFIG_TEST_CHURN_CUTS", "MAIMCONFIG_TEST_ROLLING",
    "MAIMCONFIG_TEST_GALERA_SECONDS", "MAIMCONFIG_TEST_CLUSTER_SECONDS",
}  # fmt: skip

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def test_there_are_some() -> None:
    """The documents that everybody looks for are among those that are read here."""
    names = {path.name for path in DOCUMENTS}
    assert names >= {"README.md", "CONTRIBUTING.md", "architecture.md", "api.md"}


@each_document
def test_links(document: Path) -> None:
    """Every relative link leads to a file, and its anchor to a heading of it."""
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_document
def test_targets(document: Path) -> None:
    """Every `make` target that is named is in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z]+)", document.read_text("utf-8"), re.MULTILINE)
    assert set(named) <= targets


@each_document
def test_settings(document: Path) -> None:
    """Every setting that is named exists."""
    rows = Settings.__dataclass_fields__.values()
    known = {name for row in rows for name in variable_names(row)} | FURTHER
    named = re.findall(
        r"\b((?:MAIMCONFIG|MAIMBOT|DATABASE)_[A-Z_]*[A-Z])\b", document.read_text("utf-8")
    )
    assert set(named) <= known


@each_document
def test_files(document: Path) -> None:
    """Every module and file of the checkout that is named in code type exists."""
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    for name in re.findall(r"`((?:maimconfig|tests|docs|benchmarks|deploy)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def commands(name: str) -> list[str]:
    """What a document tells people to type, in its order, and the commands that it names."""
    text = (ROOT / name).read_text("utf-8")
    typed = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    named = re.findall(r"`((?:maimconfig|make|serve|wsgi:)[^`]*)`", text)
    return [*typed, *sorted(named)]


def test_chinese_readme() -> None:
    """The Chinese README gives the same commands as the English one, and names the same settings
    and documents."""
    assert commands("docs/README.zh-CN.md") == commands("README.md")
    settings, links = (
        [set(re.findall(pattern, (ROOT / name).read_text("utf-8")))
         for name in ("README.md", "docs/README.zh-CN.md")]
        for pattern in (r"`([A-Z][A-Z_]{6,})`", r"([A-Za-z]+)\.md[)#]")
    )  # fmt: skip
    assert settings[0] == settings[1]
    assert links[0] - {"CN"} - {"README"} == links[1] - {"README"}
