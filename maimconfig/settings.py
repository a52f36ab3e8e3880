"""Settings: frozen, typed, from the environment and `instance/config.toml`, checked at start.

Each setting is one row of `Settings`: its type, default and meaning stand together, and
docs/configuration.md is generated from the same rows (`maimconfig settings --markdown`).
An environment variable wins over the file; the file's keys are the field names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.engine import URL

from maimconfig import setting_types as types
from maimconfig.security.outbound import Allowed
from maimconfig.serving.sockets import Bind
from maimconfig.setting_types import Network, OperatorProvider

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


class SettingsError(Exception):
    """A setting has a value that can't be used; the text is one sentence that names it."""


def setting(
    default: Any,
    parse: Callable[[Any], Any],
    doc: str,
    *,
    env: tuple[str, ...] = (),
    secret: bool = False,
    shown_default: str | None = None,
) -> Any:
    """One row of `Settings`.

    Args:
        default: the value when nothing is set.
        parse: turns the text of a variable (or a TOML value) into the value, or raises
            ValueError with the reason.
        doc: one sentence for docs/configuration.md, units included.
        env: the variables' names in order of precedence; `MAIMCONFIG_<FIELD>` when empty.
        secret: never shown by `maimconfig settings`.
        shown_default: what the docs show when the default is computed.
    """
    return field(
        default=default,
        metadata={
            "parse": parse,
            "doc": doc,
            "env": env,
            "secret": secret,
            "shown_default": shown_default,
        },
        repr=not secret,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that an operator can set; read once at start, never changed after."""

    instance: Path = setting(
        Path("instance"),
        types.path,
        "Folder of the SQLite file and the generated secrets.",
        shown_default="./instance of a checkout, else the user's data folder",
    )
    database_url: URL = setting(
        types.sqlite_url(Path("instance", "maimconfig.db")),
        types.database_url,
        "SQLAlchemy URL of SQLite or MySQL/MariaDB; async drivers are mapped to ours. "
        "Without it DATABASE_HOST, _PORT, _NAME, _USER and _PASSWORD make a MySQL URL.",
        env=("DATABASE_URL",),
        shown_default="maimconfig.db in the instance folder",
        secret=True,
    )
    internal_bind: Bind | None = setting(
        Bind("127.0.0.1", 8000),
        types.bind,
        "address:port of the internal plane; port 0 takes a free one, empty switches it off. "
        "HOST and PORT of the older services are understood too.",
    )
    public_bind: Bind | None = setting(
        Bind("127.0.0.1", 8880), types.bind, "address:port of the public plane."
    )
    realtime_bind: Bind | None = setting(
        Bind("127.0.0.1", 8001), types.bind, "address:port of the realtime gateway."
    )
    expose_internal: bool = setting(
        False,
        types.boolean,
        "Allows the internal plane on another address than loopback; whoever reaches it "
        "may do everything.",
    )
    internal_token: str | None = setting(
        None, types.token, "Bearer token that locks the internal plane.", secret=True
    )
    workers: int = setting(1, types.integer(1, 256), "Processes.")
    threads: int = setting(16, types.integer(1, 1024), "Threads of each plane in a process.")
    cpu_affinity: bool = setting(
        True,
        types.choice({"auto": True, "off": False}),
        "`auto` binds each process to one CPU where the system allows it, `off` does not.",
        shown_default="auto",
    )
    drain_seconds: int = setting(
        25, types.integer(0, 600), "How long a stop waits for requests under way, in seconds."
    )
    secret_key: str | None = setting(
        None,
        types.secret_key,
        "Master secret of at least 32 bytes for encryption and key hashes.",
        env=("MAIMCONFIG_SECRET_KEY", "SECRET_KEY"),
        secret=True,
        shown_default="made at first start, in secret.key of the instance folder",
    )
    previous_secret_keys: tuple[str, ...] = setting(
        (),
        types.secret_keys,
        "Older master secrets, separated by commas, that stored values may still be under.",
        secret=True,
        shown_default="none",
    )
    reveal_api_keys: bool = setting(
        True,
        types.boolean,
        "Whether a key can be read again after its creation; false shows a masked form.",
    )
    trusted_proxies: tuple[Network, ...] = setting(
        (),
        types.networks,
        "Addresses or networks, separated by commas, whose X-Forwarded-For counts.",
        shown_default="none",
    )
    sqlite_synchronous: str = setting(
        "NORMAL",
        types.choice({"normal": "NORMAL", "full": "FULL"}),
        "`normal` survives the death of a process, `full` also a power cut.",
        shown_default="normal",
    )
    pool_size: int = setting(
        20, types.integer(1, 1000), "Database connections that each process may hold."
    )
    max_body_bytes: int = setting(
        1024 * 1024, types.integer(1024, 8 * 1024 * 1024), "Largest request body, in bytes."
    )
    max_agents: int | None = setting(
        None,
        types.optional(types.integer(0, 2**31 - 1)),
        "Agents a tenant may have when its tenant_config.quotas says nothing.",
        shown_default="no limit",
    )
    max_api_keys: int | None = setting(
        None,
        types.optional(types.integer(0, 2**31 - 1)),
        "API keys a tenant may have when its tenant_config.quotas says nothing.",
        shown_default="no limit",
    )
    requests_per_minute: int | None = setting(
        None,
        types.optional(types.integer(0, 2**53)),
        "Chats a tenant may ask for in a minute when its tenant_config.quotas says nothing.",
        shown_default="no limit",
    )
    tokens_per_month: int | None = setting(
        None,
        types.optional(types.integer(0, 2**53)),
        "Tokens a tenant's chats may use in a month (UTC) when its tenant_config.quotas says "
        "nothing.",
        shown_default="no limit",
    )
    chat_replies: int = setting(
        64,
        types.integer(1, 1024),
        "Replies that each plane of a process makes at once, streamed or not. They have threads "
        "of their own beside MAIMCONFIG_THREADS, so that chats never take the last threads; past "
        "it a chat is answered 503 at once.",
    )
    conversation_replies: int = setting(
        16,
        types.integer(1, 256),
        "Replies to messages of conversations that a process makes at once; the others wait.",
    )
    session_idle_minutes: int = setting(
        30, types.integer(1, 60 * 24), "Minutes without a message after which a session is idle."
    )
    session_expire_minutes: int = setting(
        120,
        types.integer(1, 60 * 24 * 30),
        "Minutes without a message after which a session expires.",
    )
    sessions_per_user: int = setting(
        5, types.integer(1, 1000), "Open sessions that a user may have."
    )
    guest_sessions_per_minute: int = setting(
        10, types.integer(1, 1_000_000), "Sessions that guests of an address may begin in a minute."
    )
    handoff_keywords: tuple[str, ...] = setting(
        ("转人工", "人工客服", "人工服务", "human agent", "real person"),
        types.words,
        "Words, separated by commas, with which a contact asks for a person.",
        shown_default="转人工, 人工客服, 人工服务, human agent, real person",
    )
    auto_assign: bool = setting(
        False,
        types.boolean,
        "Whether a conversation that wants a person goes to the one who is there and least busy; "
        "else it waits until somebody takes it.",
    )
    usage_retention_days: int | None = setting(
        None,
        types.optional(types.integer(1, 36_500)),
        "Days after which usage records are deleted; reports, statements and a tenant's numbers "
        "tell only of what is kept.",
        shown_default="kept",
    )
    chat_retention_days: int | None = setting(
        None,
        types.optional(types.integer(1, 36_500)),
        "Days after which messages of chats and conversations are deleted, and streams and "
        "conversations that have none left.",
        shown_default="kept",
    )
    audit_retention_days: int | None = setting(
        None,
        types.optional(types.integer(1, 36_500)),
        "Days after which entries of the audit log are deleted.",
        shown_default="kept",
    )
    webhook_retention_days: int | None = setting(
        30,
        types.optional(types.integer(1, 36_500)),
        "Days after which deliveries to webhooks are deleted that succeeded or were given up; "
        "empty keeps them.",
    )
    access_token_minutes: int = setting(
        30, types.integer(1, 24 * 60), "How long an access token lasts, in minutes."
    )
    refresh_token_days: int = setting(
        30, types.integer(1, 365), "How long an unused login session lasts, in days."
    )
    refresh_grace_seconds: int = setting(
        10,
        types.integer(0, 300),
        "For how long a refresh whose answer was lost may be repeated, in seconds.",
    )
    login_attempts_per_minute: int = setting(
        5,
        types.integer(1, 1_000_000),
        "Failed logins an account and an address may make in a minute; registrations an address.",
    )
    cors_origins: tuple[str, ...] = setting(
        (),
        types.origins,
        "Origins, separated by commas, whose pages may call the public plane and "
        "open WebSocket connections.",
        shown_default="none",
    )
    redis_url: str | None = setting(
        None,
        types.redis_url,
        "URL of the Redis by which processes wake one another (redis://, rediss:// or unix://); "
        "without it what one process stores reaches those at another's gateway within 2 s. Needs "
        "`pip install 'maimconfig[redis]'`.",
        secret=True,
    )
    realtime_url: str | None = setting(
        None,
        types.websocket_url,
        "URL of the gateway that clients are told, such as wss://chat.example.com/ws behind a "
        "proxy.",
        shown_default="from the gateway's address",
    )
    realtime_message_length: int = setting(
        4000,
        types.integer(1, 100_000),
        "Characters that a message of a live chat may have, over the gateway and over HTTP.",
    )
    realtime_messages_per_minute: int = setting(
        60,
        types.integer(1, 1_000_000),
        "Messages that each user may send in a session in a minute over one gateway, and a contact "
        "over HTTP.",
    )
    realtime_connections_per_address: int = setting(
        10,
        types.integer(1, 1_000_000),
        "WebSocket connections that an address may have at one gateway. Behind a proxy set "
        "MAIMCONFIG_TRUSTED_PROXIES, or all clients share the proxy's.",
    )
    admin_email: str | None = setting(
        None, types.email, "E-mail address of the first administrator, made at the first start."
    )
    admin_password: str | None = setting(
        None, types.password, "Password of the first administrator.", secret=True
    )
    system_models_path: Path | None = setting(
        None,
        types.path,
        "TOML file of the system's AI providers and models.",
        env=("MAIMBOT_MODEL_CONFIG_PATH",),
        shown_default="built-in list",
    )
    bot_defaults_path: Path | None = setting(
        None,
        types.path,
        "TOML file of the system's bot defaults.",
        env=("MAIMBOT_BOT_CONFIG_TEMPLATE_PATH",),
        shown_default="built-in defaults",
    )
    dashscope: OperatorProvider = setting(
        OperatorProvider(),
        types.operator_provider,
        "The operator's DashScope account.",
        env=("DASHSCOPE_API_KEY", "DASHSCOPE_BASE_URL", "DASHSCOPE_MODEL"),
        secret=True,
        shown_default="none",
    )
    openai: OperatorProvider = setting(
        OperatorProvider(),
        types.operator_provider,
        "The operator's OpenAI account.",
        env=("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"),
        secret=True,
        shown_default="none",
    )
    provider_allow: tuple[Allowed, ...] = setting(
        (),
        types.allowed,
        "Addresses, networks or host names, separated by commas and each with or without `:port`, "
        "that base URLs and webhooks of tenants may lead to although they aren't public.",
        shown_default="none",
    )
    log_level: str = setting(
        "INFO",
        types.choice({x: x.upper() for x in ("debug", "info", "warning", "error")}),
        "`debug`, `info`, `warning` or `error`.",
        env=("MAIMCONFIG_LOG_LEVEL", "LOG_LEVEL"),
        shown_default="info",
    )
    log_format: str | None = setting(
        None,
        types.choice({"json": "json", "console": "console"}),
        "`json` or `console`.",
        shown_default="console on a terminal, else json",
    )
    log_file: Path | None = setting(
        None, types.path, "File that the log is appended to.", shown_default="stderr"
    )
    log_file_max_mb: int = setting(
        100,
        types.integer(0, 1_000_000),
        "Size in MB at which the log file is set aside as .1, the one before as .2 and so on; 0 "
        "leaves that to logrotate.",
    )
    log_file_keep: int = setting(
        5, types.integer(1, 1000), "Log files that are kept beside the one that is written."
    )
    slow_request_ms: int = setting(
        5000,
        types.integer(0, 3_600_000),
        "Milliseconds from which a request is logged as `request.slow`; 0 logs none.",
    )
    slow_query_ms: int = setting(
        500,
        types.integer(0, 3_600_000),
        "Milliseconds from which a statement is logged as `query.slow`, without its values; 0 "
        "logs none.",
    )
    metrics_folder: Path | None = setting(
        None,
        types.path,
        "Folder, best in memory, in which the processes of one machine exchange their numbers, so "
        "that /metrics of one tells of all.",
        shown_default="a temporary one for `serve` with several workers",
    )
    metrics_tenants: int = setting(
        0,
        types.integer(0, 10_000),
        "Tenants whose requests /metrics counts one by one, all others as `other`; 0 for none.",
    )


def default_instance() -> Path:
    """The instance folder when none is set: a checkout's own, else the user's data folder."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "wsgi.py").is_file() and (checkout / "instance").is_dir():
        return checkout / "instance"
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data_home) / "maimconfig"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the instance folder's config.toml.

    Args:
        environ: variables instead of the process's own.

    Raises:
        SettingsError: a value can't be used, or config.toml has an unknown key.
    """
    environ = os.environ if environ is None else environ
    instance = _instance(environ)
    stored = _read_toml(instance / "config.toml")
    values: dict[str, Any] = {"instance": instance}
    for row in _rows():
        if row.name == "instance":
            continue
        source, raw = _lookup(row, environ, stored)
        if source is not None:
            values[row.name] = _parsed(row, source, raw)
    values.setdefault("database_url", types.sqlite_url(instance / "maimconfig.db"))
    settings = Settings(**values)
    _refuse_exposed_internal_plane(settings)
    return settings


def _instance(environ: Mapping[str, str]) -> Path:
    source = "MAIMCONFIG_INSTANCE"
    given: Path | None = _parsed(_rows()[0], source, environ.get(source, ""))
    return given or default_instance().absolute()


def variable_names(row: Field[Any]) -> tuple[str, ...]:
    """The environment variables of a setting, in order of precedence."""
    return row.metadata["env"] or (f"MAIMCONFIG_{row.name.upper()}",)


def _rows() -> tuple[Field[Any], ...]:
    return fields(Settings)


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} can't be read: {error}.") from error
    # The instance folder is where this file is, so it can't be set here.
    unknown = sorted(set(stored) - {row.name for row in _rows()[1:]})
    if unknown:
        raise SettingsError(f"{path} has an unknown setting: {', '.join(unknown)}.")
    return stored


def _lookup(
    row: Field[Any], environ: Mapping[str, str], stored: Mapping[str, Any]
) -> tuple[str | None, Any]:
    names = variable_names(row)
    if row.name in ("dashscope", "openai"):
        given = {name.partition("_")[2].lower(): environ[name] for name in names if name in environ}
        if given:
            return names[0], given
    for name in names:
        if name in environ:
            return name, environ[name]
    if row.name in _LEGACY:
        for name, raw in _LEGACY[row.name](environ).items():
            return name, raw
    if row.name in stored:
        return f"{row.name} in config.toml", stored[row.name]
    return None, None


def _parsed(row: Field[Any], source: str, raw: Any) -> Any:
    try:
        return row.metadata["parse"](raw)
    except ValueError as error:
        raise SettingsError(f"{source} can't be used: {error}.") from error


def _legacy_database(environ: Mapping[str, str]) -> dict[str, Any]:
    if not environ.get("DATABASE_HOST"):
        return {}
    try:
        return {"DATABASE_HOST": types.mysql_parts(environ)}
    except ValueError as error:
        raise SettingsError(f"DATABASE_PORT can't be used: {error}.") from error


def _legacy_bind(environ: Mapping[str, str]) -> dict[str, Any]:
    if not (environ.get("HOST") or environ.get("PORT")):
        return {}
    host = environ.get("HOST") or "127.0.0.1"
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return {"HOST and PORT": f"{host}:{environ.get('PORT') or 8000}"}


_LEGACY: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
    "database_url": _legacy_database,
    "internal_bind": _legacy_bind,
}


def _refuse_exposed_internal_plane(settings: Settings) -> None:
    bind = settings.internal_bind
    if bind and not types.is_loopback(bind.host) and not settings.expose_internal:
        raise SettingsError(
            f"MAIMCONFIG_INTERNAL_BIND is {bind}: the internal plane needs no login, so set "
            "MAIMCONFIG_EXPOSE_INTERNAL=true if everyone who reaches this address may do everything"
            "."
        )
