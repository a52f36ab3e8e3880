"""`maimconfig settings`"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from maimconfig import setting_docs
from maimconfig.settings import Settings
from tests.cli.command import fails, invoke, succeeds

SECRET = "q8Zr1vT0-pLk4Nw7YxEe2JmUa6DsHc9Gb"


def shown(instance: Path, **settings: str) -> dict[str, str]:
    """What it shows, by name."""
    lines = invoke("settings", instance=instance, **settings).stdout.splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def test_every_setting(tmp_path: Path) -> None:
    """Each setting is shown with the value that is in force, and nothing is made."""
    instance = tmp_path / "instance"
    found = shown(instance, MAIMCONFIG_WORKERS="3", LOG_LEVEL="error")
    assert found.keys() == {row.name for row in fields(Settings)}
    assert (found["workers"], found["log_level"], found["threads"]) == ("3", "ERROR", "16")
    assert found["instance"] == str(instance)
    assert found["internal_bind"] == "127.0.0.1:8000"
    assert not instance.exists()


def test_secrets_are_hidden(tmp_path: Path) -> None:
    """Of a secret it is shown whether there is one, and of the database all but the password."""
    found = shown(
        tmp_path,
        DATABASE_URL=f"mysql+aiomysql://u:{SECRET}@db:3307/x",
        MAIMCONFIG_SECRET_KEY=SECRET,
        MAIMCONFIG_PREVIOUS_SECRET_KEYS=SECRET,
        DASHSCOPE_API_KEY=SECRET,
    )
    assert SECRET not in str(found)
    assert found["database_url"] == "mysql+pymysql://u:***@db:3307/x"
    hidden = {name for name, text in found.items() if text == "********"}
    assert hidden == {"secret_key", "previous_secret_keys", "dashscope"}
    assert found["internal_token"] == found["openai"] == "not set"


def test_file_in_force(tmp_path: Path) -> None:
    """Values of config.toml are shown too."""
    (tmp_path / "config.toml").write_text('threads = 5\ntrusted_proxies = ["10.0.0.0/8"]\n')
    found = shown(tmp_path)
    assert found["threads"] == "5"
    assert "10.0.0.0/8" in found["trusted_proxies"]


def test_markdown(tmp_path: Path) -> None:
    """`--markdown` gives the reference page, even where the settings can't be used."""
    page = succeeds("settings", "--markdown", instance=tmp_path, MAIMCONFIG_WORKERS="none")
    assert page == setting_docs.page()


def test_wrong_value(tmp_path: Path) -> None:
    """A wrong value ends it with one sentence."""
    sentence = fails("settings", instance=tmp_path, MAIMCONFIG_WORKERS="none")
    assert sentence.startswith("MAIMCONFIG_WORKERS can't be used: ")
