"""The running service: what its planes, commands and threads share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from maimconfig.agents.marks import Marks
from maimconfig.audit.counted import LogCount
from maimconfig.background import Background
from maimconfig.chat.slots import Slots
from maimconfig.chat.unsettled import Unsettled
from maimconfig.conversations.answering import Answering
from maimconfig.db import lifecycle
from maimconfig.db.session import SYSTEM, Actor, Database, Session
from maimconfig.key_checks.counting import KeyUsage
from maimconfig.metrics.exchange import Exchange
from maimconfig.providers.service import Providers
from maimconfig.realtime.bus import open_bus
from maimconfig.security.vault import SecretUnknown, Vault
from maimconfig.settings import Settings
from maimconfig.system.catalogue import Catalogue, load_bot_defaults, load_models
from maimconfig.webhooks.delivery import Sender

if TYPE_CHECKING:
    from maimconfig.serving import Load

T = TypeVar("T")


def open_vault(settings: Settings) -> Vault:
    """The vault under the settings' master secret, or under that of the instance folder.

    Raises:
        StartError: the folder, which is made when absent, or its secret.key can't be used.
    """
    try:
        settings.instance.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Vault.open(settings.instance, settings.secret_key, settings.previous_secret_keys)
    except (OSError, UnicodeError, SecretUnknown) as error:
        reason = getattr(error, "strerror", None) or error
        raise lifecycle.StartError(
            f"MAIMCONFIG_INSTANCE can't be used: {settings.instance}: {reason}."
        ) from error


@dataclass
class Runtime:
    """Made once a process by `Runtime.open`, closed at its end.

    Attributes:
        settings: as read at start.
        database: engines and units of work.
        vault: encryption and key hashes.
        catalogue: the system's AI providers and models.
        bot_defaults: the lowest layer of every agent's configuration.
        key_usage: counts of key checks that are not yet written.
        realtime_address: where this process's own gateway listens, as host:port.
        agent_marks: where far pages of agents begin.
        audit_count: how many entries the audit log had.
        draining: True once the process was told to stop.
        background: writes the counts, and tidies up.
        unsettled: replies that ended while the database was away.
        providers: replies of the AI providers.
        webhooks: sends what webhooks are told.
        bus: tells events to who listens.
        answering: makes the replies that conversations are owed.
        load: how busy the planes of this process are, where its server tells.
        exchange: the numbers of this process and of others.
    """

    settings: Settings
    database: Database
    vault: Vault
    catalogue: Catalogue
    bot_defaults: dict[str, Any]
    key_usage: KeyUsage = field(default_factory=KeyUsage)
    realtime_address: str | None = None
    agent_marks: Marks = field(default_factory=Marks)
    audit_count: LogCount = field(default_factory=LogCount)
    draining: bool = False

    def __post_init__(self) -> None:
        self.background = Background(self)
        self.providers = Providers(self.settings.provider_allow)
        self._slots: dict[str, Slots] = {}
        self.unsettled = Unsettled()
        self.bus = open_bus(self.settings.redis_url)
        self.webhooks = Sender(self)
        self.answering = Answering(self)
        self.load: Callable[[], Mapping[str, Load]] = dict
        self.exchange = Exchange(self.settings.metrics_folder, self.settings.metrics_tenants)

    @classmethod
    def open(cls, settings: Settings, *, auto_migrate: bool = False) -> Runtime:
        """Connect the service to its database.

        Args:
            settings: of the service.
            auto_migrate: bring the schema of a MySQL database up to date; an embedded SQLite
                file always is.

        Raises:
            StartError: the secret doesn't fit the database, or a file can't be used.
            CatalogueError: a file of system models or bot defaults can't be used.
        """
        vault = open_vault(settings)
        database = Database(
            settings.database_url,
            pool_size=settings.pool_size,
            synchronous=settings.sqlite_synchronous,
            slow_ms=settings.slow_query_ms,
        )
        lifecycle.prepare(database, vault, auto_migrate=auto_migrate)
        operator = {"dashscope": settings.dashscope, "openai": settings.openai}
        return cls(
            settings=settings,
            database=database,
            vault=vault,
            catalogue=load_models(settings.system_models_path, operator),
            bot_defaults=load_bot_defaults(settings.bot_defaults_path),
        )

    def reply_slots(self, plane: str) -> Slots:
        """The places for replies of a plane, which has threads of its own."""
        return self._slots.setdefault(plane, Slots(self.settings.chat_replies))

    def slots(self) -> Mapping[str, Slots]:
        """The places of the planes that have any."""
        return dict(self._slots)

    def read(self, work: Callable[[Session], T], actor: Actor = SYSTEM) -> T:
        """Run a unit of work that only reads."""
        return self.database.unit_of_work(work, runtime=self, actor=actor, write=False)

    def write(self, work: Callable[[Session], T], actor: Actor = SYSTEM) -> T:
        """Run a unit of work that may write."""
        return self.database.unit_of_work(work, runtime=self, actor=actor, write=True)

    def start(self) -> None:
        """Begin what a process does by itself, before anybody asks it for something."""
        self.background.ensure()
        self.answering.start()

    def drain(self) -> None:
        """Take nothing new on: the process was told to stop."""
        self.draining = True
        self.answering.drain()

    def close(self) -> None:
        """End the replies under way, write what is only in memory and close the database."""
        self.answering.close()
        self.providers.close()
        self.webhooks.close()
        self.background.close()
        self.bus.close()
        self.exchange.close()
        self.database.dispose()
