"""The dashboard and the alert rules: they name what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from maimconfig.app import create_app
from maimconfig.key_checks.verdict import Reason
from maimconfig.metrics import definitions, docs
from maimconfig.metrics.instruments import INSTRUMENTS
from maimconfig.providers.types import Failure
from tests.db.opening import opened
from tests.serving.harness import ROOT
from tests.test_docs import anchors

DEPLOY = ROOT / "deploy"
LABELS = {
    name: {*instrument.labels, *(["le"] if name.endswith("_bucket") else [])}
    for instrument in INSTRUMENTS
    for name in docs.sample_names(instrument)
}
# What Prometheus itself adds.
GIVEN = {"instance", "job"}


def panels() -> list[dict[str, object]]:
    """Of the dashboard."""
    return json.loads((DEPLOY / "grafana" / "maimconfig.json").read_text("utf-8"))["panels"]


def rules() -> list[dict[str, object]]:
    """All alert rules."""
    found = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text("utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    """All that is asked of Prometheus."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]
    for rule in rules():
        yield rule["expr"]


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_names(expression: str) -> None:
    """Every metric, and every label that is asked of it, exists; and brackets are in pairs."""
    selectors = re.findall(r"\b(maimconfig_\w+)(?:\{([^}]*)\})?", expression)
    assert selectors or 'up{job="maimconfig"}' in expression
    known = {label for name, _ in selectors for label in LABELS[name]} | GIVEN
    for name, matchers in selectors:
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert asked <= LABELS[name] | GIVEN, name
    for grouped in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= known
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_everything_is_shown() -> None:
    """The dashboard leaves no metric out."""
    shown = {
        name
        for panel in panels()
        for target in panel["targets"]
        for name in re.findall(r"\bmaimconfig_\w+", target["expr"])
    }
    for instrument in INSTRUMENTS:
        assert shown & set(docs.sample_names(instrument)), instrument.name


def test_values(tmp_path: Path) -> None:
    """Routes and results that an expression picks are among those that can be."""
    with opened(f"sqlite:///{tmp_path / 'x.db'}", tmp_path) as runtime:
        routes = {rule.rule for rule in create_app("internal", runtime).url_map.iter_rules()}
    results = {"valid", "ok", "aborted"} | {one.value for kind in (Reason, Failure) for one in kind}
    for expression in expressions():
        for label, known in (("route", routes), ("result", results)):
            for sign, value in re.findall(rf'\b{label}(=~|!~|=|!=)"([^"]*)"', expression):
                for pattern in value.split("|"):
                    found = [one for one in known if re.fullmatch(pattern, one)]
                    assert found, (sign, value)


def test_panels() -> None:
    """Panels don't lie on each other, and have numbers of their own."""
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_runbooks() -> None:
    """Every alert says how grave it is, and leads to what to do about it."""
    known = anchors(ROOT / "docs" / "operations.md")
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        document, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert document == "docs/operations.md"
        assert anchor in known, rule["alert"]
        assert rule["annotations"]["summary"]


def test_page() -> None:
    """docs/metrics.md is what the definitions say."""
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == docs.page()
    for instrument in INSTRUMENTS:
        assert instrument in vars(definitions).values()
