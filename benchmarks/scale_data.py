"""A year of a service as rows: the same ones each time, half of all of one tenant.

Each column that an answer depends on is filled; what is only passed through is short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, insert

from benchmarks.scale_control import ControlPlane
from benchmarks.scale_ids import Row, mixed
from maimconfig.activity.models import AgentActivity
from maimconfig.agents.models import Agent, AgentConfigVersion, AgentTag
from maimconfig.api_keys.models import ApiKey, ApiKeySecret
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
MODELS = ("qwen-turbo", "qwen-plus", "gpt-4o-mini", "deepseek-chat", None)
PRICES = (("0.3", "0.6"), ("0.8", "2"), ("0.15", "0.6"), ("2", "8"), (None, None))
ACTIONS = ("chat", "chat", "chat", "chat.batch", "embedding", "tool.call")
AUDITED = ("agent.update", "agent.create", "api_key.rotate", "tenant.update", "conversation.status")


class Rows(ControlPlane):
    """Makes all rows."""

    def tables(self) -> Iterator[tuple[Any, Iterable[Row]]]:
        """Tables with their rows, those first that others refer to."""
        sizes = self.sizes
        yield User, map(self.user_row, range(sizes.users))
        yield LoginSession, map(self.login_row, range(sizes.users))
        yield Tenant, map(self.tenant_row, range(sizes.tenants))
        yield AgentTemplate, map(self.template_row, range(sizes.tenants))
        yield Agent, map(self.agent_row, range(sizes.agents))
        yield AgentTag, map(self.tag_row, range(sizes.agents))
        yield AgentActivity, map(self.activity_row, range(sizes.agents))
        yield AgentConfigVersion, map(self.version_row, range(sizes.agents * 2))
        yield ApiKey, map(self.key_row, range(sizes.api_keys))
        yield ApiKeySecret, map(self.secret_row, range(sizes.api_keys))
        yield PluginSetting, map(self.plugin_row, range(sizes.agents))
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

    def _contact(self, number: int) -> Row:
        name = f"person {number}"
        return {
            "id": self.contact_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "external_id": f"ext{number}", "is_guest": number % 3 == 0, "name": name,
            "email": f"p{number}@example.com", "phone": None, "avatar_url": None,
            "folded": f"ext{number}\n{name}\np{number}@example.com", "custom_attributes": {},
            "merged_into": None, "last_seen_at": None, "revision": 1,
            **self.dated(number, self.sizes.conversations),
        }  # fmt: skip

    def _conversation(self, number: int) -> Row:
        made = self.moment(number, self.sizes.conversations)
        status = ("open", "pending", "resolved", "closed")[mixed(number) % 4]
        ended = status in ("resolved", "closed")
        following = self._messages_of(number) + 1
        return {
            "id": self.conversation_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "agent_id": self.agent_id(self.agent_of(number)), "contact_id": self.contact_id(number),
            "channel_type": "web_widget", "status": "open" if number == 0 else status,
            "priority": ("low", "medium", "high", "urgent")[number // 2 % 4],
            "current_agent_type": "ai" if number % 3 or number == 0 else "human",
            "assignee_id": None if number % 3 or number == 0 else self.user_id(0),
            "next_seq": following, "next_position": following, "first_reply_at": made,
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
        of_first, others = self._messages_of(0), self.sizes.conversations - 1
        for number in range(self.sizes.messages):
            if number < of_first:
                yield row(number, 0, number + 1)
            else:
                rest = number - of_first
                yield row(number, 1 + rest % others, 1 + rest // others)

    def _messages_of(self, conversation: int) -> int:
        """How many of the messages `_numbered` gives to a conversation."""
        of_first, others = max(self.sizes.messages // 20, 10), self.sizes.conversations - 1
        if conversation == 0:
            return of_first
        return (self.sizes.messages - of_first + others - conversation) // others

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
            "tenant_id": self.tenant_id(self.tenant_of(stream)),
            "stream_id": self.stream_id(stream),
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
            **self.dated(number, self.sizes.tenants),
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


def store(connection: Connection, model: Any, rows: Iterable[Row]) -> int:
    """Insert rows; how many there were."""
    table: Table = model.__table__
    stored, rows = 0, iter(rows)
    while chunk := list(islice(rows, CHUNK)):
        connection.execute(insert(table), chunk)
        stored += len(chunk)
    return stored
