"""Settings: from variables and config.toml, checked at start, with nothing secret in a message."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from maimconfig import settings as module
from maimconfig.security.outbound import Allowed
from maimconfig.serving.sockets import Bind
from maimconfig.setting_types import OperatorProvider
from maimconfig.settings import (
    Settings,
    SettingsError,
    default_instance,
    load_settings,
    variable_names,
)

SECRET = "q8Zr1vT0-pLk4Nw7YxEe2JmUa6DsHc9Gb"
OTHER = "Xb3nW9sK-0fGt5RqLc7Vy1ZoPd4MhAe8Ji"

# field: (a variable's text, the same in TOML, the value)
GOOD: dict[str, tuple[str, str, Any]] = {
    "database_url": (
        "mysql+pymysql://u:p@db:3307/x",
        '"mysql+pymysql://u:p@db:3307/x"',
        make_url("mysql+pymysql://u:p@db:3307/x"),
    ),
    "internal_bind": ("127.0.0.1:8002", '"127.0.0.1:8002"', Bind("127.0.0.1", 8002)),
    "public_bind": ("[::1]:0", '"[::1]:0"', Bind("::1", 0)),
    "realtime_bind": ("", '""', None),
    "expose_internal": ("Yes", "true", True),
    "internal_token": (SECRET, f'"{SECRET}"', SECRET),
    "workers": ("3", "3", 3),
    "threads": (" 4 ", "4", 4),
    "cpu_affinity": ("OFF", '"off"', False),
    "drain_seconds": ("0", "0", 0),
    "secret_key": (SECRET, f'"{SECRET}"', SECRET),
    "previous_secret_keys": (f"{SECRET},{OTHER}", f'["{SECRET}", "{OTHER}"]', (SECRET, OTHER)),
    "reveal_api_keys": ("0", "false", False),
    "trusted_proxies": (
        "10.0.0.0/8, ::1",
        '["10.0.0.0/8", "::1"]',
        (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")),
    ),
    "sqlite_synchronous": ("full", '"FULL"', "FULL"),
    "pool_size": ("7", "7", 7),
    "max_body_bytes": ("2048", "2048", 2048),
    "max_agents": ("0", "0", 0),
    "max_api_keys": ("", '""', None),
    "requests_per_minute": ("0", "0", 0),
    "tokens_per_month": ("", '""', None),
    "chat_replies": ("1", "1", 1),
    "conversation_replies": ("4", "4", 4),
    "session_idle_minutes": ("1", "1", 1),
    "session_expire_minutes": ("90", "90", 90),
    "sessions_per_user": ("3", "3", 3),
    "guest_sessions_per_minute": ("20", "20", 20),
    "handoff_keywords": ("找人, A Person", '["找人", "a person"]', ("找人", "a person")),
    "auto_assign": ("on", "true", True),
    "usage_retention_days": ("1", "1", 1),
    "chat_retention_days": ("36500", "36500", 36_500),
    "audit_retention_days": ("", '""', None),
    "access_token_minutes": ("1440", "1440", 1440),
    "refresh_token_days": ("1", "1", 1),
    "refresh_grace_seconds": ("0", "0", 0),
    "login_attempts_per_minute": ("9", "9", 9),
    "cors_origins": (
        "https://a.example.com, http://localhost:5173/",
        '["https://a.example.com", "http://localhost:5173"]',
        ("https://a.example.com", "http://localhost:5173"),
    ),
    "redis_url": (
        "redis://:secret@cache:6379/1",
        '"redis://:secret@cache:6379/1"',
        "redis://:secret@cache:6379/1",
    ),
    "realtime_url": (
        "wss://chat.example.com/ws",
        '"wss://chat.example.com/ws"',
        "wss://chat.example.com/ws",
    ),
    "realtime_message_length": ("1", "1", 1),
    "realtime_messages_per_minute": ("600", "600", 600),
    "realtime_connections_per_address": ("1000", "1000", 1000),
    "admin_email": (" a@example.com ", '"a@example.com"', "a@example.com"),
    "admin_password": (SECRET, f'"{SECRET}"', SECRET),
    "system_models_path": ("/etc/models.toml", '"/etc/models.toml"', Path("/etc/models.toml")),
    "bot_defaults_path": ("/etc/bot.toml", '"/etc/bot.toml"', Path("/etc/bot.toml")),
    "dashscope": (SECRET, f'{{api_key = "{SECRET}"}}', OperatorProvider(api_key=SECRET)),
    "openai": (SECRET, f'{{api_key = "{SECRET}"}}', OperatorProvider(api_key=SECRET)),
    "provider_allow": (
        "10.0.0.0/8:11434, [fd00::1]:80, Ollama.internal.",
        '["10.0.0.0/8:11434", "[fd00::1]:80", "Ollama.internal."]',
        (
            Allowed(ipaddress.ip_network("10.0.0.0/8"), None, 11434),
            Allowed(ipaddress.ip_network("fd00::1"), None, 80),
            Allowed(None, "ollama.internal", None),
        ),
    ),
    "log_level": ("Debug", '"debug"', "DEBUG"),
    "log_format": ("json", '"json"', "json"),
    "log_file": ("/tmp/a.log", '"/tmp/a.log"', Path("/tmp/a.log")),
}

# field: texts of a variable that can't be used
WRONG: dict[str, tuple[str, ...]] = {
    "database_url": ("", "no url", "postgresql://u:{secret}@h/x", "mysql://u:{secret}@h:port/x",
                     "mysql://u:{secret}", "mysql+nodriver://u:{secret}@h/x", "sqlite://"),
    "internal_bind": ("8000", "127.0.0.1", "127.0.0.1:65536", "::1:8000", "0.0.0.0:8000"),
    "public_bind": ("127.0.0.1:http", ":80", "[::1]", "a b:80"),
    "realtime_bind": ("127.0.0.1:-1",),
    "redis_url": ("http://cache", "cache:6379", "redis://:{secret}@cache:port"),
    "realtime_url": ("http://chat.example.com/ws", "wss://", "wss://a b/ws"),
    "realtime_message_length": ("0", "100001"),
    "realtime_messages_per_minute": ("0", "many"),
    "realtime_connections_per_address": ("0", ""),
    "expose_internal": ("", "maybe", "2"),
    "internal_token": ("fifteen-chars-x", "sixteen or more\x07", "中文中文中文中文中文中文"),
    "workers": ("", "0", "257", "1.0", "-1", "٣", "1" * 5000),
    "threads": ("0", "many"),
    "cpu_affinity": ("on", "0"),
    "drain_seconds": ("-1", "601", "25s"),
    "secret_key": ("q8Zr1vT0pLk4Nw7YxEe2JmUa6DsHc9G", "ab" * 20, "your-secret-key-{secret}"),
    "previous_secret_keys": ("{secret},short", "ab" * 20),
    "reveal_api_keys": ("tru",),
    "trusted_proxies": ("10.0.0.0/33", "nginx", "10.0.0.1/8"),
    "sqlite_synchronous": ("off", ""),
    "pool_size": ("0", "1001"),
    "max_body_bytes": ("1023", "1MiB"),
    "max_agents": ("-1", "2147483648"),
    "max_api_keys": ("none",),
    "requests_per_minute": ("-1", "9007199254740993"),
    "tokens_per_month": ("1.5",),
    "chat_replies": ("0", "1025"),
    "conversation_replies": ("0", "257"),
    "session_idle_minutes": ("0", "1441"),
    "session_expire_minutes": ("0", "43201"),
    "sessions_per_user": ("0", "1001"),
    "guest_sessions_per_minute": ("0", "1000001"),
    "auto_assign": ("perhaps",),
    "usage_retention_days": ("0", "36501"),
    "chat_retention_days": ("-1", "1.5"),
    "audit_retention_days": ("0", "forever"),
    "access_token_minutes": ("0", "1441"),
    "refresh_token_days": ("0", "366"),
    "refresh_grace_seconds": ("-1", "301"),
    "login_attempts_per_minute": ("0", "few"),
    "cors_origins": ("*", "example.com", "https://a.example.com/path", "ftp://a.example.com"),
    "admin_email": ("admin", "@example.com", "a" * 250 + "@x.cn"),
    "admin_password": ("7 chars", "{secret}" * 4),
    "system_models_path": ("~no-such-user/models.toml",),
    "bot_defaults_path": ("~no-such-user/bot.toml",),
    "provider_allow": ("10.0.0.1/8", "10.0.0.300", "127.1", "a b", "[::1", "h:0", "h:65536", "h:x",
                       "[fd00::]x", "http://ollama.internal", "*"),
    "log_level": ("loud", ""),
    "log_format": ("xml", ""),
    "log_file": ("~no-such-user/log",),
}  # fmt: skip

# What config.toml can hold and a variable can't.
WRONG_IN_TOML: dict[str, tuple[str, ...]] = {
    "database_url": ("5",),
    "public_bind": ("8880", "true"),
    "expose_internal": ('"maybe"', "1.5"),
    "workers": ("true", "1.5", "[1]"),
    "cors_origins": ("[1]", "5", '["*"]'),
    "trusted_proxies": ("[1]", "5", '[["10.0.0.1"]]'),
    "secret_key": ("5",),
    "previous_secret_keys": (f'["{SECRET}", 5]', f'["{SECRET}", "short"]', "5"),
    "dashscope": (f'"{SECRET}"', f'{{key = "{SECRET}"}}', "{api_key = 5}", "5", f'["{SECRET}"]'),
    "openai": (f'"{SECRET}"', f"{{{SECRET} = 1}}"),
    "log_level": ("10",),
}

Load = Callable[..., Settings]


@pytest.fixture
def load(instance_folder: Path) -> Load:
    """Loads settings from a config.toml and variables, and nothing else."""

    def load(toml: str | None = None, **env: str) -> Settings:
        if toml is not None:
            (instance_folder / "config.toml").write_text(toml, "utf-8")
        return load_settings({"MAIMCONFIG_INSTANCE": str(instance_folder), **env})

    return load


def variables(name: str) -> tuple[str, ...]:
    """A setting's variables."""
    (row,) = (row for row in fields(Settings) if row.name == name)
    return variable_names(row)


def refused(load: Load, toml: str | None = None, **env: str) -> str:
    """The sentence with which a start ends: one line, and nothing of the secrets."""
    with pytest.raises(SettingsError) as error:
        load(toml, **env)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 300
    assert SECRET not in sentence
    return sentence


def test_every_setting_is_tested() -> None:
    """Each setting has a row in the table of good values."""
    assert {"instance", *GOOD} == {row.name for row in fields(Settings)}


@pytest.mark.parametrize("name", GOOD)
def test_variable(load: Load, name: str) -> None:
    """Each setting is read from its variable, by each of its names."""
    text, _, value = GOOD[name]
    if name in ("dashscope", "openai"):
        assert getattr(load(**{variables(name)[0]: text}), name) == value
        return
    for variable in variables(name):
        assert getattr(load(**{variable: text}), name) == value


@pytest.mark.parametrize("name", GOOD)
def test_file(load: Load, name: str) -> None:
    """Each setting is read from config.toml by its own name."""
    _, text, value = GOOD[name]
    assert getattr(load(f"{name} = {text}"), name) == value


@pytest.mark.parametrize("name", GOOD)
def test_variable_wins(load: Load, name: str) -> None:
    """A variable wins over config.toml, even over one that can't be used."""
    text, _, value = GOOD[name]
    assert getattr(load(f"{name} = []", **{variables(name)[0]: text}), name) == value


@pytest.mark.parametrize("name", ["secret_key", "log_level"])
def test_first_name_wins(load: Load, name: str) -> None:
    """Of a setting's variables our own wins over that of the older services."""
    own, older = variables(name)
    text, _, value = GOOD[name]
    assert getattr(load(**{own: text, older: "not used"}), name) == value


@pytest.mark.parametrize(("name", "text"), [(n, text) for n, row in WRONG.items() for text in row])
def test_wrong_variable(load: Load, name: str, text: str) -> None:
    """A wrong value stops the start with one sentence that names the variable, not the secret."""
    variable = variables(name)[0]
    assert variable in refused(load, **{variable: text.replace("{secret}", SECRET)})


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, row in WRONG_IN_TOML.items() for text in row]
)
def test_wrong_in_file(load: Load, name: str, text: str) -> None:
    """A wrong value in config.toml is named, and that it's there."""
    assert refused(load, f"{name} = {text}").startswith(f"{name} in config.toml ")


@pytest.mark.parametrize(
    "name", ["database_url", "secret_key", "internal_token", "admin_password", "dashscope"]
)
def test_wrong_secret_is_not_repeated(load: Load, name: str) -> None:
    """Of a secret that can't be used not even a part is in the sentence."""
    short = "x7Kp2mQ"
    with pytest.raises(SettingsError) as error:
        load(f'{name} = "{short}"')
    assert short not in str(error.value)
    assert ", ".join(sorted(short)) not in str(error.value)


def test_nothing_set(load: Load, instance_folder: Path) -> None:
    """With nothing set each setting has its default, and the database is a file of the instance."""
    found = load()
    assert found.database_url.drivername == "sqlite+pysqlite"
    assert found.database_url.database == str(instance_folder / "maimconfig.db")
    for row in fields(Settings):
        if row.name not in ("instance", "database_url"):
            assert getattr(found, row.name) == row.default


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("mysql+aiomysql://u:p@h:3307/x", "mysql+pymysql"),
        ("mysql+asyncmy://u:p@h:3307/x", "mysql+pymysql"),
        ("mysql://u:p@h:3307/x", "mysql+pymysql"),
        ("mariadb://u:p@h:3307/x", "mysql+pymysql"),
        ("mariadb+pymysql://u:p@h:3307/x", "mysql+pymysql"),
        (" mysql+pymysql://u:p@h:3307/x ", "mysql+pymysql"),
        ("sqlite+aiosqlite:////var/x.db", "sqlite+pysqlite"),
        ("sqlite:////var/x.db", "sqlite+pysqlite"),
    ],
)
def test_drivers_are_mapped(load: Load, given: str, driver: str) -> None:
    """URLs for async drivers, and without one, mean the same database through our driver."""
    found, meant = load(DATABASE_URL=given).database_url, make_url(given.strip())
    assert found.drivername == driver
    assert found.set(drivername="x") == meant.set(drivername="x")


def test_older_database_variables(load: Load) -> None:
    """DATABASE_HOST and its like make a MySQL URL, whatever characters the password has."""
    env = {
        "DATABASE_HOST": "db",
        "DATABASE_PORT": "3307",
        "DATABASE_NAME": "bots",
        "DATABASE_USER": "u",
        "DATABASE_PASSWORD": "p@ss:/?#%wörd",
    }
    url = load(**env).database_url
    assert url.drivername == "mysql+pymysql"
    assert (url.host, url.port, url.database) == ("db", 3307, "bots")
    assert (url.username, url.password) == ("u", env["DATABASE_PASSWORD"])
    bare = load(DATABASE_HOST="db").database_url
    assert (bare.port, bare.database, bare.username) == (3306, "maimconfig", None)


def test_url_wins_over_older_variables(load: Load) -> None:
    """DATABASE_URL wins over DATABASE_HOST, and both over config.toml."""
    toml = 'database_url = "sqlite:////var/file.db"'
    assert load(toml, DATABASE_HOST="h").database_url.host == "h"
    url = load(toml, DATABASE_HOST="h", DATABASE_URL="mysql://other/x").database_url
    assert url.host == "other"


def test_wrong_older_port(load: Load) -> None:
    """A wrong DATABASE_PORT is named."""
    sentence = refused(load, DATABASE_HOST="h", DATABASE_PORT="mysql", DATABASE_PASSWORD=SECRET)
    assert "DATABASE_PORT" in sentence


@pytest.mark.parametrize(
    ("env", "bind"),
    [
        ({"HOST": "127.0.0.2"}, Bind("127.0.0.2", 8000)),
        ({"PORT": "9000"}, Bind("127.0.0.1", 9000)),
        ({"HOST": "localhost", "PORT": "0"}, Bind("localhost", 0)),
        ({"HOST": "::1", "PORT": "9000"}, Bind("::1", 9000)),
        ({"HOST": "127.0.0.2", "MAIMCONFIG_INTERNAL_BIND": "127.0.0.3:1"}, Bind("127.0.0.3", 1)),
    ],
)
def test_older_address(load: Load, env: dict[str, str], bind: Bind) -> None:
    """HOST and PORT of the older services are the internal plane's, unless it has its own."""
    assert load('internal_bind = "127.0.0.9:9"', **env).internal_bind == bind


def test_wrong_older_address(load: Load) -> None:
    """A wrong PORT is named."""
    assert "PORT" in refused(load, PORT="http")


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "192.0.2.7", "internal.example.com"])
def test_exposed_internal_plane(load: Load, address: str) -> None:
    """The internal plane listens beyond loopback only when that is said explicitly."""
    env = {"MAIMCONFIG_INTERNAL_BIND": f"{address}:8000"}
    assert "MAIMCONFIG_EXPOSE_INTERNAL" in refused(load, **env)
    assert str(load(**env, MAIMCONFIG_EXPOSE_INTERNAL="true").internal_bind) == f"{address}:8000"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "[::1]", "localhost"])
def test_loopback_internal_plane(load: Load, address: str) -> None:
    """An address of this machine alone needs no permission."""
    found = load(MAIMCONFIG_INTERNAL_BIND=f"{address}:8000").internal_bind
    assert str(found) == f"{address}:8000"


def test_parts_of_a_provider(load: Load) -> None:
    """The operator's provider has three variables; one that is empty is not set."""
    env = {"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": "http://gpu:8080/v1", "OPENAI_MODEL": ""}
    assert load(**env).openai == OperatorProvider(SECRET, "http://gpu:8080/v1", None)


@pytest.mark.parametrize("toml", ["workrs = 2", "[database]\nurl = 'x'", "instance = '/elsewhere'"])
def test_unknown_in_file(load: Load, toml: str) -> None:
    """A key of config.toml that means nothing there stops the start, and is named."""
    sentence = refused(load, toml)
    assert "config.toml" in sentence
    assert toml.strip("[").split()[0].strip("]") in sentence


@pytest.mark.parametrize(
    "text", [b"workers = ", b"\xff\xfe", b"a = 1\na = 2", b"a = " + b"[" * 9999]
)
def test_broken_file(load: Load, instance_folder: Path, text: bytes) -> None:
    """A config.toml that is no TOML stops the start, and is named."""
    (instance_folder / "config.toml").write_bytes(text)
    assert "config.toml" in refused(load)


def test_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tilde in a path is the home folder, in the instance's too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    env = {"MAIMCONFIG_INSTANCE": "~/data", "MAIMCONFIG_LOG_FILE": "~/log"}
    found = load_settings(env)
    assert (found.instance, found.log_file) == (tmp_path / "data", tmp_path / "log")


def test_default_instance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The instance folder is the checkout's own, else in the user's data folder."""
    checkout = Path(__file__).parent.parent
    assert default_instance() == checkout / "instance"
    monkeypatch.setattr(module, "__file__", str(tmp_path / "site-packages/maimconfig/settings.py"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_instance() == tmp_path / "maimconfig"


def test_frozen(load: Load) -> None:
    """Settings never change after the start."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().workers = 2  # type: ignore[misc]


def test_repr_shows_no_secret(load: Load) -> None:
    """Whatever prints the settings prints no password, token or key."""
    found = load(
        DATABASE_URL=f"mysql://u:{SECRET}@h/x",
        MAIMCONFIG_SECRET_KEY=SECRET,
        MAIMCONFIG_PREVIOUS_SECRET_KEYS=OTHER,
        MAIMCONFIG_INTERNAL_TOKEN=SECRET,
        MAIMCONFIG_ADMIN_PASSWORD=SECRET,
        DASHSCOPE_API_KEY=SECRET,
        OPENAI_API_KEY=SECRET,
    )
    for text in (repr(found), str(found), f"{found.database_url} {found.openai}"):
        assert SECRET not in text
        assert OTHER not in text
    assert "workers=1" in repr(found)
