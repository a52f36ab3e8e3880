"""A year of a service as rows: the same ones each time, half of all of one tenant.

Each column that an answer depends on is filled; what is only passed through is short.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, insert

from maimconfig.activity.models import AgentActivity
from maimconfig.agents.models import Agent, AgentConfigVersion, AgentTag
from maimconfig.api_keys.models import ApiKey, ApiKeySecret
from maimconfig.api_keys.service import context_of
from maimconfig.audit.models import AuditLog
from maimconfig.chat.models import ChatMessage, ChatStream
from maimconfig.contacts.models import Contact
from maimconfig.conversations.models import Conversation, ConversationMessage
from maimconfig.plugins.models import PluginSetting
from maimconfig.sessions.models import ChatSession
from maimconfig.templates.models import AgentTemplate
from maimconfig.tenants.models import Tenant
from maimconfig.usage.models import UsageRecord
from maimconfig.users.models import LoginSession, User
from maimconfig.webhooks import service as webhooks
from maimconfig.webhooks.models import Delivery, Webhook

CHUNK = 5000
YEAR = timedelta(days=365)
MODELS = ("qwen-turbo", "qwen-plus", "gpt-4o-mini", "deepseek-chat", None)
PRICES = (("0.3", "0.6"), ("0.8", "2"), ("0.15", "0.6"), ("2", "8"), (None, None))
ACTIONS = ("chat", "chat", "chat", "chat.batch", "embedding", "tool.call")
AUDITED = ("agent.update", "agent.create", "api_key.rotate", "tenant.update", "conversation.status")

Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How many rows of each kind there are."""

    tenants: int
    agents: int
    api_keys: int
    users: int
    usage: int
    messages: int
    audit: int
    conversations: int
    deliveries: int

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in vars(self).items())


BIG = Sizes(1000, 10_000, 20_000, 10_000, 1_000_000, 100_000, 100_000, 10_000, 100_000)
SMALL = Sizes(10, 50, 50, 50, 50, 50, 50, 50, 50)


@dataclass
class Rows:
    """Makes the rows.

    Attributes:
        now: the end of the year.
        encrypt: seals a secret for a context.
        key_hash: by which a key is found.
    """

    sizes: Sizes
    now: datetime
    encrypt: Callable[[str, str], str]
    key_hash: Callable[[str], str]

    def tables(self) -> Iterator[tuple[Any, Iterable[Row]]]:
        """Tables with their rows, those first that others refer to."""
        sizes = self.sizes
        yield User, map(self._user, range(sizes.users))
        yield LoginSession, map(self._login, range(sizes.users))
        yield Tenant, map(self._tenant, range(sizes.tenants))
        yield AgentTemplate, map(self._template, range(sizes.tenants))
        yield Agent, map(self._agent, range(sizes.agents))
        yield AgentTag, map(self._tag, range(sizes.agents))
        yield AgentActivity, map(self._activity, range(sizes.agents))
        yield AgentConfigVersion, map(self._version, range(sizes.agents * 2))
        yield ApiKey, map(self._key, range(sizes.api_keys))
        yield ApiKeySecret, map(self._secret, range(sizes.api_keys))
        yield PluginSetting, map(self._plugin, range(sizes.agents))
        yield Contact, map(self._contact, range(sizes.conversations))
        yield Conversation, map(self._conversation, range(sizes.conversations))
        yield ChatSession, map(self._session, range(sizes.conversations))
        yield ConversationMessage, self._numbered(self._message)
        yield ChatStream, map(self._stream, range(sizes.conversations))
        yield ChatMessage, self._numbered(self._chat)
        yield Webhook, map(self._webhook, range(sizes.tenants))
        yield Delivery, map(self._delivery, range(sizes.deliveries))
        yield AuditLog, map(self._audit, range(sizes.audit))
        yield UsageRecord, map(self._usage, range(sizes.usage))

    def owner(self, number: int, of: int) -> int:
        """Which of the first `of` things number belongs to: each second one to the first."""
        return 0 if number % 2 == 0 else mixed(number) % of

    def tenant_of(self, number: int) -> int:
        return self.owner(number, self.sizes.tenants)

    def moment(self, number: int, of: int) -> datetime:
        """When the thing of a number was made; they are spread over the year, the last one now."""
        return self.now - YEAR * ((of - 1 - number) / of)

    def id(self, kind: str, number: int, of: int) -> str:
        """An id that is ordered by time, as those of the service are."""
        milliseconds = int(self.moment(number, of).timestamp() * 1000)
        return f"{kind}_{milliseconds:012x}7{number:019x}"

    def user_id(self, number: int) -> str:
        return self.id("user", number, self.sizes.users)

    def tenant_id(self, number: int) -> str:
        return self.id("tenant", number, self.sizes.tenants)

    def agent_id(self, number: int) -> str:
        return self.id("agent", number, self.sizes.agents)

    def key_id(self, number: int) -> str:
        return self.id("key", number, self.sizes.api_keys)

    def contact_id(self, number: int) -> str:
        return self.id("contact", number, self.sizes.conversations)

    def conversation_id(self, number: int) -> str:
        return self.id("conv", number, self.sizes.conversations)

    def session_id(self, number: int) -> str:
        return self.id("sess", number, self.sizes.conversations)

    def stream_id(self, number: int) -> str:
        return self.id("stream", number, self.sizes.conversations)

    def webhook_id(self, number: int) -> str:
        return self.id("wh", number, self.sizes.tenants)

    def secret(self, number: int) -> str:
        return f"mmc_scale_{hashlib.sha256(str(number).encode()).hexdigest()}"

    def agent_of(self, number: int) -> int:
        """An agent of the tenant that a thing of this number belongs to."""
        if self.tenant_of(number) == 0:
            return mixed(number) % (self.sizes.agents // 2) * 2
        # Any agent of an odd number that belongs to it; else the tenant's things have the first's.
        return self._first_agents()[self.tenant_of(number)]

    def _first_agents(self) -> dict[int, int]:
        if not hasattr(self, "_firsts"):
            firsts: dict[int, int] = {}
            for number in range(self.sizes.agents):
                firsts.setdefault(self.tenant_of(number), number)
            for tenant in range(self.sizes.tenants):
                firsts.setdefault(tenant, 0)
            self._firsts = firsts
        return self._firsts

    def _dated(self, number: int, of: int) -> Row:
        made = self.moment(number, of)
        return {"created_at": made, "updated_at": made}

    def _user(self, number: int) -> Row:
        name = f"user{number}"
        return {
            "id": self.user_id(number), "username": name, "folded_username": name,
            "email": f"{name}@example.com", "folded_email": f"{name}@example.com",
            "full_name": None, "password_hash": "-", "status": one_of(number, "active", "suspended"),
            "role": ("user", "agent", "supervisor")[number % 3], "serves_all_tenants": True,
            "last_login_at": self.moment(number, self.sizes.users), "revision": 1,
            **self._dated(number, self.sizes.users),
        }  # fmt: skip

    def _login(self, number: int) -> Row:
        made = self.moment(number, self.sizes.users)
        return {
            "id": self.id("login", number, self.sizes.users),
            "user_id": self.user_id(self.owner(number, self.sizes.users)),
            "nonce": "-", "generation": 1, "rotated_at": made, "created_at": made,
            "expires_at": made + timedelta(days=30), "ended_at": made if number % 4 else None,
            "address": "192.0.2.1", "user_agent": "scale",
        }  # fmt: skip

    def _tenant(self, number: int) -> Row:
        name = f"tenant {number}"
        agents = sum(1 for one in range(self.sizes.agents) if one % 2 == 0) if number == 0 else 0
        return {
            "id": self.tenant_id(number), "tenant_name": name, "folded_name": name,
            "tenant_type": one_of(number, "enterprise", "personal"), "tenant_config": {},
            "permission_groups": {}, "status": one_of(number, "active", "inactive"),
            "owner_id": self.user_id(min(number, self.sizes.users - 1)), "agent_count": agents,
            "api_key_count": self.sizes.api_keys // 2 if number == 0 else 0, "revision": 1,
            "description": None, "contact_email": None,
            **self._dated(number, self.sizes.tenants),
        }  # fmt: skip

    def _template(self, number: int) -> Row:
        tenant = self.tenant_id(0) if number % 2 == 0 else None
        return {
            "id": self.id("tmpl", number, self.sizes.tenants), "tenant_id": tenant,
            "scope": tenant or "", "name": f"template {number}", "description": None,
            "category": one_of(number, "service", "fun"), "tags": [], "config": {},
            "is_builtin": False, "revision": 1, **self._dated(number, self.sizes.tenants),
        }  # fmt: skip

    def _agent(self, number: int) -> Row:
        name = f"agent {number}"
        config = {"persona": {"personality": "耐心细致" * 20}, "bot_overrides": {"nickname": name}}
        return {
            "id": self.agent_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "name": name, "folded_name": name, "description": None, "template_id": None,
            "config": config, "tags": [f"tag{number // 2 % 5}"], "config_version": 1,
            "status": one_of(number, "active", "inactive"), "revision": 1,
            **self._dated(number, self.sizes.agents),
        }  # fmt: skip

    def _tag(self, number: int) -> Row:
        return {
            "agent_id": self.agent_id(number), "tag": f"tag{number // 2 % 5}",
            "tenant_id": self.tenant_id(self.tenant_of(number)),
        }  # fmt: skip

    def _activity(self, number: int) -> Row:
        # Of the first tenant a tenth is alive, of the others half.
        alive = number % 20 == 0 or number % 4 == 1
        until = self.now + timedelta(days=1) if alive else self.moment(number, self.sizes.agents)
        return {
            "agent_id": self.agent_id(number),
            "tenant_id": self.tenant_id(self.tenant_of(number)), "last_seen_at": self.now,
            "expires_at": until, "ttl_seconds": 300, "watched_until": until if alive else None,
        }  # fmt: skip

    def _version(self, number: int) -> Row:
        # The first agent has a twentieth of all.
        first = number < self.sizes.agents // 10
        agent = 0 if first else number % self.sizes.agents
        version = number + 1 if first else 2 * self.sizes.agents + number
        return {
            "agent_id": self.agent_id(agent), "version": version, "action": "update",
            "tenant_id": self.tenant_id(self.tenant_of(agent)), "actor": "internal",
            "changes": [], "config": {"bot_overrides": {"nickname": f"n{number}"}},
            "created_at": self.moment(number, self.sizes.agents * 2),
        }  # fmt: skip

    def _key(self, number: int) -> Row:
        expires = self.now - timedelta(days=1) if number % 10 == 4 else None
        key_id = self.key_id(number)
        return {
            "id": key_id, "tenant_id": self.tenant_id(self.tenant_of(number)),
            "agent_id": self.agent_id(self.agent_of(number)), "name": f"key {number}",
            "description": None, "sealed_secret": self.encrypt(self.secret(number), context_of(key_id)),
            "permissions": ["chat"], "status": one_of(number, "active", "disabled"),
            "disabled_at": None, "expires_at": expires, "rate_limit": None, "allowed_ips": [],
            "usage_count": number, "last_used_at": None, "revision": 1,
            **self._dated(number, self.sizes.api_keys),
        }  # fmt: skip

    def _secret(self, number: int) -> Row:
        return {
            "secret_hash": self.key_hash(self.secret(number)), "api_key_id": self.key_id(number),
            "sealed_secret": "-", "retires_at": None,
        }  # fmt: skip

    def _plugin(self, number: int) -> Row:
        of_tenant = number < 20
        agent = None if of_tenant else self.agent_id(self.agent_of(number))
        tenant = self.tenant_id(0 if of_tenant else self.tenant_of(number))
        return {
            "scope_id": agent or tenant, "plugin_name": f"plugin {number}", "tenant_id": tenant,
            "agent_id": agent, "enabled": True, "config": {"level": number},
            **self._dated(number, self.sizes.agents),
        }  # fmt: skip

    def _contact(self, number: int) -> Row:
        name = f"person {number}"
        return {
            "id": self.contact_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "external_id": f"ext{number}", "is_guest": number % 3 == 0, "name": name,
            "email": f"p{number}@example.com", "phone": None, "avatar_url": None,
            "folded": f"ext{number}\n{name}\np{number}@example.com", "custom_attributes": {},
            "merged_into": None, "last_seen_at": None, "revision": 1,
            **self._dated(number, self.sizes.conversations),
        }  # fmt: skip

    def _conversation(self, number: int) -> Row:
        made = self.moment(number, self.sizes.conversations)
        status = ("open", "pending", "resolved", "closed")[mixed(number) % 4]
        ended = status in ("resolved", "closed")
        first = self.sizes.messages // 20 if number == 0 else 10
        return {
            "id": self.conversation_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "agent_id": self.agent_id(self.agent_of(number)), "contact_id": self.contact_id(number),
            "channel_type": "web_widget", "status": "open" if number == 0 else status,
            "priority": ("low", "medium", "high", "urgent")[number // 2 % 4],
            "current_agent_type": "ai" if number % 3 or number == 0 else "human",
            "assignee_id": None if number % 3 or number == 0 else self.user_id(0),
            "next_seq": first + 1, "next_position": first + 1, "first_reply_at": made,
            "last_activity_at": made, "handed_off_at": None, "handoff_reason": None,
            "resolved_at": made if ended and number else None, "unread_staff": 0,
            "unread_contact": 0, "contact_read_seq": 0, "staff_read_seq": 0, "tags": [],
            "satisfaction": number % 6 or None, "satisfaction_comment": None,
            "handled_by_ai": True, "handled_by_human": number % 3 == 0, "revision": 1,
            "created_at": made, "updated_at": made,
        }  # fmt: skip

    def _session(self, number: int) -> Row:
        made = self.moment(number, self.sizes.conversations)
        alive = number % 50 == 0
        return {
            "id": self.session_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "agent_id": self.agent_id(self.agent_of(number)), "contact_id": self.contact_id(number),
            "conversation_id": self.conversation_id(number), "user_id": f"ext{number}",
            "created_by": None, "is_guest": number % 3 == 0, "nonce": "-",
            "status": "active" if alive else "expired", "metadata": {}, "context": {},
            "last_activity_at": self.now if alive else made,
            "due_at": self.now + timedelta(days=1) if alive else None, "revision": 1,
            "created_at": made, "updated_at": made,
        }  # fmt: skip

    def _numbered(self, row: Callable[[int, int, int], Row]) -> Iterator[Row]:
        """A twentieth of the messages in the first conversation, the others spread evenly."""
        of_first = max(self.sizes.messages // 20, 10)
        for number in range(self.sizes.messages):
            if number < of_first:
                yield row(number, 0, number + 1)
            else:
                rest, others = number - of_first, max(self.sizes.conversations - 1, 1)
                yield row(number, 1 + rest % others, 1 + rest // others)

    def _message(self, number: int, conversation: int, position: int) -> Row:
        from_contact = position % 2 == 1
        return {
            "id": self.id("msg", number, self.sizes.messages),
            "tenant_id": self.tenant_id(self.tenant_of(conversation)),
            "conversation_id": self.conversation_id(conversation), "position": position,
            "seq": position, "session_id": None, "sender_type": "contact" if from_contact else "ai",
            "sender_id": self.contact_id(conversation) if from_contact else None,
            "content": f"message {number} " * 5, "message_type": "text", "metadata": {},
            "is_private": False, "client_id": None, "reply_to": None, "state": "complete",
            "rating": None, "rating_comment": None,
            "created_at": self.moment(number, self.sizes.messages),
        }  # fmt: skip

    def _stream(self, number: int) -> Row:
        return {
            "id": self.stream_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "agent_id": self.agent_id(self.agent_of(number)), "platform": "default",
            "chat_identifier": f"chat {number}", "next_seq": self.sizes.messages,
            "created_at": self.moment(number, self.sizes.conversations),
        }  # fmt: skip

    def _chat(self, number: int, stream: int, seq: int) -> Row:
        asked = seq % 2 == 1
        return {
            "id": self.id("msg", number, self.sizes.messages),
            "tenant_id": self.tenant_id(self.tenant_of(stream)), "stream_id": self.stream_id(stream),
            "seq": seq, "role": "user" if asked else "assistant", "content": f"said {number} " * 5,
            "user_id": None, "message_id": f"m{number}" if asked else None, "reply_to": None,
            "state": "complete", "model": None, "tokens_in": 0, "tokens_out": 0,
            "cost": Decimal(0), "estimated": False,
            "created_at": self.moment(number, self.sizes.messages),
        }  # fmt: skip

    def _webhook(self, number: int) -> Row:
        webhook_id = self.webhook_id(number)
        return {
            "id": webhook_id, "tenant_id": self.tenant_id(self.tenant_of(number)),
            "url": "https://example.com/hook", "events": [], "is_active": False,
            "sealed_secret": self.encrypt("whsec", webhooks.context_of(webhook_id)),
            "failing_since": None, "disabled_at": None, "revision": 1,
            **self._dated(number, self.sizes.tenants),
        }  # fmt: skip

    def _delivery(self, number: int) -> Row:
        made = self.moment(number, self.sizes.deliveries)
        webhook = self.owner(number, self.sizes.tenants)
        return {
            "id": self.id("whd", number, self.sizes.deliveries),
            "tenant_id": self.tenant_id(self.tenant_of(webhook)),
            "webhook_id": self.webhook_id(webhook),
            "event": ("message.created", "agent.offline")[number // 2 % 2], "body": "{}",
            "status": ("delivered", "failed")[number // 4 % 2], "attempts": 1, "due_at": None,
            "claim": None, "response_status": 200, "error": None, "duration_ms": 5,
            "created_at": made, "last_attempt_at": made, "settled_at": made,
        }  # fmt: skip

    def _audit(self, number: int) -> Row:
        action = AUDITED[number // 2 % len(AUDITED)]
        return {
            "id": self.id("audit", number, self.sizes.audit),
            "tenant_id": self.tenant_id(self.tenant_of(number)),
            "actor": "internal" if number % 3 else self.user_id(0), "address": "192.0.2.1",
            "request_id": f"req_{number}", "action": action,
            "resource_type": action.partition(".")[0],
            "resource_id": self.agent_id(self.agent_of(number)),
            "before": {"status": "active"}, "after": {"status": "inactive"},
            "created_at": self.moment(number, self.sizes.audit),
        }  # fmt: skip

    def _usage(self, number: int) -> Row:
        moment = self.moment(number, self.sizes.usage)
        text = moment.isoformat()
        kind = mixed(number) % len(MODELS)
        prices = [None if price is None else Decimal(price) for price in PRICES[kind]]
        return {
            "id": self.id("usage", number, self.sizes.usage),
            # One in a thousand is nobody's.
            "tenant_id": None if number % 1000 == 501 else self.tenant_id(self.tenant_of(number)),
            "agent_id": self.agent_id(self.agent_of(number)),
            "api_key_id": self.key_id(mixed(number) % (self.sizes.api_keys // 2) * 2),
            "user_id": f"u{mixed(number) % 3000}", "action": ACTIONS[number // 2 % len(ACTIONS)],
            "model": MODELS[kind], "tokens_in": 100 + number % 900, "tokens_out": 20 + number % 300,
            "cost": Decimal(number % 977) / 10**6, "price_in": prices[0], "price_out": prices[1],
            "is_error": number % 50 == 2, "request_id": f"req_{number}", "provider": "dashscope",
            "status": "failed" if number % 50 == 2 else "completed", "estimated": False,
            "latency_ms": 800, "details": {}, "moment": moment, "day": text[:10],
            "hour": text[:13],
        }  # fmt: skip


def mixed(number: int) -> int:
    """A number that looks like chance and is the same each time (Knuth, 6.4: multiplicative)."""
    return number * 2_654_435_761 % 2**32 >> 8


def one_of(number: int, usual: str, rare: str) -> str:
    """The rare one of two for one in eight, half of them of the first tenant."""
    return rare if number // 2 % 8 == 3 else usual


def store(connection: Connection, model: Any, rows: Iterable[Row]) -> int:
    """Insert rows; how many there were."""
    table: Table = model.__table__
    stored, rows = 0, iter(rows)
    while chunk := list(islice(rows, CHUNK)):
        connection.execute(insert(table), chunk)
        stored += len(chunk)
    return stored
