"""Bringing what a file tells of into the database: created, changed or left alone, by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from sqlalchemy import select

from maimconfig import permissions
from maimconfig.agents import config_secrets, config_service, configuration
from maimconfig.agents import service as agents
from maimconfig.agents.config_secrets import MASK
from maimconfig.agents.merge import changes, merge_patch
from maimconfig.agents.models import Agent
from maimconfig.api_keys import format as key_format
from maimconfig.api_keys import service as api_keys
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.session import Session
from maimconfig.http.errors import AppError
from maimconfig.http.schema import changes_of
from maimconfig.moving.changes import Change, Entry, differences, seen, without
from maimconfig.moving.errors import MovingError, sentence
from maimconfig.plugins import service as plugins
from maimconfig.plugins.models import PluginSetting
from maimconfig.templates import service as templates
from maimconfig.templates.models import AgentTemplate
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant

T = TypeVar("T")

Mode = Literal["skip", "overwrite", "merge"]
"""What becomes of an object that is there already: left as it is; each field that the file names
takes the place of the stored one; or objects within it (configurations) are merged (RFC 7396)."""

_WITHIN = ("agents", "templates", "plugins", "api_keys", "template")


class Carrier:
    """Carries entries of a file into a session, and notes what changes.

    Attributes:
        changes: one for each object, in the file's order.
    """

    def __init__(self, session: Session, mode: Mode) -> None:
        self.session = session
        self.mode = mode
        self.changes: list[Change] = []

    def template(self, entry: Entry, owner: Tenant | None = None) -> None:
        """A template of a tenant, or for all.

        Raises:
            MovingError: it can't be stored.
        """
        name = _path(owner.tenant_name if owner else "*", entry["name"])
        owner_id = owner.id if owner else None
        stored = self._stored(AgentTemplate, entry, scope=owner_id or "", name=entry["name"])
        with self._noting("template", name, stored) as note:
            given = {**entry, "config": self._recognised(entry["config"], stored, note)}
            if stored is None:
                templates.create(self.session, tenant_id=owner_id, **given)
            elif note.action != "skip":
                if self.mode == "merge":
                    shown = configuration.shown(stored.config)
                    given["config"] = merge_patch(shown, given["config"])
                wanted = changes_of(_own(given), "description", "category")
                templates.change(self.session, stored.id, wanted)

    def tenant(self, entry: Entry) -> None:
        """A tenant with all that belongs to it.

        Raises:
            MovingError: something of it can't be stored.
        """
        name = entry["tenant_name"]
        stored = self._stored(Tenant, entry, tenant_name=name)
        with self._noting("tenant", name, stored) as note:
            permissions.check_groups(entry.get("permission_groups") or {}, "permission_groups")
            wanted = _own(entry)
            if stored is None:
                stored = tenants.create(self.session, **wanted)
            elif note.action != "skip":
                wanted = self._merged(stored, wanted, "tenant_config", "permission_groups")
                wanted = changes_of(wanted, "description", "contact_email", "owner_id")
                tenants.change(self.session, stored.id, without(wanted, "id"))
        for template in entry.get("templates", ()):
            self.template(template, stored)
        for plugin in entry.get("plugins", ()):
            self._plugin(plugin, stored, None)
        for agent in entry.get("agents", ()):
            self._agent(agent, stored)

    def _agent(self, entry: Entry, owner: Tenant) -> None:
        name = _path(owner.tenant_name, entry["name"])
        stored = self._stored(Agent, entry, tenant_id=owner.id, name=entry["name"])
        with self._noting("agent", name, stored) as note:
            config = self._recognised(entry.get("config") or {}, stored, note)
            wanted = {**_own(entry), **self._template_of(entry, owner)}
            if stored is None:
                stored = self._create_agent(owner, {**wanted, "config": config})
            elif note.action != "skip":
                wanted = changes_of(without(wanted, "config"), "description", "template_id")
                agents.change(self.session, stored.id, without(wanted, "id"))
                if entry.get("config") is not None:
                    replace = self.mode == "overwrite"
                    config_service.update(self.session, stored.id, config, replace=replace)
        for plugin in entry.get("plugins", ()):
            self._plugin(plugin, owner, stored)
        for key in entry.get("api_keys", ()):
            self._key(key, owner, stored)

    def _create_agent(self, owner: Tenant, wanted: Entry) -> Agent:
        made = agents.create(self.session, tenant_id=owner.id, **without(wanted, "status"))
        if wanted.get("status") not in (None, made.status):
            agents.change(self.session, made.id, {"status": wanted["status"]})
        return made

    def _template_of(self, entry: Entry, owner: Tenant) -> Entry:
        if "template" not in entry:
            return {}
        name = entry["template"]
        if name is None:
            return {"template_id": None}
        found = self.session.scalar(
            select(AgentTemplate.id)
            .where(AgentTemplate.scope.in_((owner.id, "")), AgentTemplate.name == name)
            .order_by(AgentTemplate.scope.desc())
            .limit(1)
        )
        if found is None:
            raise MovingError(f"there is no template {name}")
        return {"template_id": found}

    def _key(self, entry: Entry, owner: Tenant, agent: Agent) -> None:
        name = _path(owner.tenant_name, agent.name, entry["name"])
        stored = self._stored(ApiKey, entry, tenant_id=owner.id, name=entry["name"])
        with self._noting("api_key", name, stored) as note:
            permissions.check(entry.get("permissions"))
            if stored is not None and stored.agent_id != agent.id:
                raise MovingError("another agent of the tenant has a key of this name")
            secret = self._secret_of(entry, stored)
            if stored is None:
                note.secret = self._create_key(agent, entry, secret)
            elif note.action != "skip":
                wanted = changes_of(_own(entry), "description", "expires_at", "rate_limit")
                api_keys.change(self.session, stored.id, without(wanted, "id", "api_key"))
                if secret is not None:
                    api_keys.rotate(self.session, stored.id, secret=secret)
                    note.differences.append(
                        {"path": "api_key", "op": "replace", "before": MASK, "after": MASK}
                    )

    def _create_key(self, agent: Agent, entry: Entry, secret: str | None) -> str | None:
        made = api_keys.create(
            self.session,
            tenant_id=agent.tenant_id,
            agent_id=agent.id,
            secret=secret,
            **without(entry, "status", "api_key"),
        )
        if entry.get("status") == "disabled":
            api_keys.change(self.session, made.id, {"status": "disabled"})
        return api_keys.secret_of(self.session, made) if secret is None else None

    def _secret_of(self, entry: Entry, stored: ApiKey | None) -> str | None:
        """The secret that a key gets from the file; None when it has it, or the file has none."""
        secret: str | None = entry.get("api_key")
        if secret is None or secret == MASK:
            return None
        if key_format.parse(secret) is None:
            raise MovingError("its api_key isn't of the form mmc_…")
        holder = api_keys.by_secret(self.session, secret)
        if holder is not None and holder is not stored:
            raise MovingError(f"its api_key is that of the key {holder.id} already")
        if stored is not None and secret == api_keys.secret_of(self.session, stored):
            return None
        return secret

    def _plugin(self, entry: Entry, owner: Tenant, agent: Agent | None) -> None:
        scope = agent.id if agent else owner.id
        name = _path(owner.tenant_name, agent.name if agent else "*", entry["plugin_name"])
        stored = self.session.get(PluginSetting, (scope, entry["plugin_name"]))
        with self._noting("plugin", name, stored) as note:
            if note.action == "skip":
                return
            wanted = entry
            if stored is not None:
                wanted = self._merged(stored, entry, "config")
                before = seen(stored)[0]
                if not changes(before, {**before, **changes_of(without(wanted, "plugin_name"))}):
                    return
            plugins.store(
                self.session,
                tenant_id=owner.id,
                agent_id=agent.id if agent else None,
                **wanted,
            )
            if stored is not None:
                self.session.refresh(stored)

    def _merged(self, stored: Any, wanted: Entry, *objects: str) -> Entry:
        if self.mode != "merge":
            return wanted
        merged = {
            name: merge_patch(getattr(stored, name), wanted[name])
            for name in objects
            if wanted.get(name) is not None
        }
        return {**wanted, **merged}

    def _recognised(self, config: Mapping[str, Any], stored: Any, note: Change) -> dict[str, Any]:
        vault = self.session.runtime.vault
        known = stored.config if stored is not None else {}
        found, note.left_out = config_secrets.recognised(config, known, vault)
        return found

    def _stored(self, model: type[T], entry: Entry, **named: str) -> T | None:
        """What is there already: by the file's id, else by name.

        Args:
            named: by what its name is unique: whose it is, and last the name.
        """
        found = self.session.get(model, entry["id"]) if entry.get("id") else None
        if found is None:
            return self.session.scalars(select(model).filter_by(**named)).first()
        *owners, name = named
        if any(getattr(found, owner) != named[owner] for owner in owners):
            raise MovingError(f"{named[name]}: the id {entry['id']} is another tenant's.")
        return found

    @contextlib.contextmanager
    def _noting(self, kind: str, name: str, stored: Any) -> Iterator[Change]:
        """Notes what becomes of an object; an error tells whose it is."""
        note = Change("create" if stored is None else "skip", kind, name)
        self.changes.append(note)
        if stored is not None and self.mode != "skip":
            note.action = "same"
        before = seen(stored) if stored is not None else None
        try:
            yield note
        except AppError as error:
            raise MovingError(f"{kind} {name}: {sentence(error)}.") from error
        except MovingError as error:
            raise MovingError(f"{kind} {name}: {error}.") from error
        if before is not None:
            note.differences += differences(before, seen(stored))
            if note.differences:
                note.action = "update"


def _own(entry: Entry) -> Entry:
    """The fields of an object itself."""
    return without(entry, *_WITHIN)


def _path(*names: str) -> str:
    return " / ".join(names)
