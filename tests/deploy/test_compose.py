"""The compose files: valid, and in line with what they start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from maimconfig.settings import Settings, load_settings, variable_names
from tests.serving.harness import ROOT

FOLDER = ROOT / "deploy" / "docker"
FILES = ("compose.edge.yaml", "compose.yaml")
# What example.env asks for, of a length that each use demands.
ANY = "5b1f0c8a9d3e47628f70a1b2c3d4e5f6-for-a-test"

each_file = pytest.mark.parametrize("name", FILES)


def filled(text: str) -> str:
    """With the operator's variables, as compose puts them in."""
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", text)
    return re.sub(r"\$\{\w+:\?\}", ANY, text).replace("$$", "$")


def services(name: str) -> dict[str, Any]:
    """The services of a file."""
    return yaml.safe_load(filled((FOLDER / name).read_text("utf-8")))["services"]


@each_file
def test_schema(name: str) -> None:
    """Each file is what the compose specification allows, and names only what it defines."""
    found = yaml.safe_load(filled((FOLDER / name).read_text("utf-8")))
    found.pop("x-hardened", None)
    # An environment-backed config is younger than the checker.
    for config in found.get("configs", {}).values():
        config["file"] = config.pop("environment")
    compose = PyCompose.from_yaml(yaml.safe_dump(found))
    for check in ("networks", "volumes", "configs", "secrets"):
        getattr(compose, f"validate_{check}")()


def test_a_wrong_file() -> None:
    """The checker does refuse what the specification doesn't know."""
    with pytest.raises(ValueError, match="prots"):
        PyCompose.from_yaml("services: {a: {image: x, prots: ['1:1']}}")


@each_file
def test_settings(name: str, tmp_path: Path) -> None:
    """The service takes the settings that it is given, and ignores none."""
    given = services(name)["maimconfig"]["environment"]
    # Nothing is given where the operator set none.
    given = {key: "" if value is None else str(value) for key, value in given.items()}
    rows = Settings.__dataclass_fields__.values()
    known = {variable for row in rows for variable in variable_names(row)}
    assert given.keys() <= known
    settings = load_settings({"MAIMCONFIG_INSTANCE": str(tmp_path), **given})
    assert settings.internal_bind.host == "0.0.0.0"
    assert settings.internal_token == ANY


@each_file
def test_files(name: str) -> None:
    """What is mounted from the checkout is in it, but for the operator's certificate."""
    for service in services(name).values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).exists() or source == "./tls", source
        if "build" in service:
            assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).exists()


@each_file
def test_exposure(name: str) -> None:
    """The world reaches the public plane or nginx, nothing that needs no login."""
    open_ports = {
        (service, str(port))
        for service, what in services(name).items()
        for port in what.get("ports", ())
        if not str(port).startswith("127.0.0.1:")
    }
    assert open_ports <= {("maimconfig", "8880:8880"), ("nginx", "80:80"), ("nginx", "443:443")}
    assert services(name)["maimconfig"]["cap_drop"] == ["ALL"]


def test_nginx_is_told_where() -> None:
    """What compose changes in nginx.conf is there to be changed."""
    text = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text("utf-8")
    command = services("compose.yaml")["nginx"]["command"][2]
    changed = re.findall(r"s/(.*?)/(.*?)/'", command)
    assert len(changed) == 3
    for known, _ in changed:
        assert re.search(known, text, re.MULTILINE), known


def needed_by(name: str) -> set[str]:
    """The variables without which compose refuses to start."""
    return set(re.findall(r"\$\{(\w+):\?\}", (FOLDER / name).read_text("utf-8")))


def test_env_file() -> None:
    """example.env has every variable without which compose refuses to start, and on one box that
    is the token without which the internal plane would be open to other containers."""
    needed = needed_by("compose.yaml")
    assert needed_by("compose.edge.yaml") == {"MAIMCONFIG_INTERNAL_TOKEN"}
    assert needed > needed_by("compose.edge.yaml")
    assert needed == set(re.findall(r"^(\w+)=", (FOLDER / "example.env").read_text(), re.MULTILINE))
