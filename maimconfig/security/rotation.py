"""Rotation of the master secret: every sealed value moves under the current one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import delete, select, update

from maimconfig.agents import config_secrets
from maimconfig.agents.models import Agent, AgentConfigVersion
from maimconfig.api_keys.models import ApiKey, ApiKeySecret
from maimconfig.api_keys.service import context_of
from maimconfig.db.lifecycle import SECRET_ID, SystemState
from maimconfig.db.session import Session
from maimconfig.http.idempotency import IdempotentAnswer
from maimconfig.runtime import Runtime
from maimconfig.templates.models import AgentTemplate
from maimconfig.webhooks import service as webhooks
from maimconfig.webhooks.models import Webhook

BATCH = 200


def move_all(runtime: Runtime) -> int:
    """Re-encrypt and re-hash what is under an older secret, in short transactions.

    It may be run again: what is under the current secret already is left alone.

    Returns:
        how many values were moved.
    """
    moved = _move_keys(runtime) + _move_webhooks(runtime)
    for model in (Agent, AgentTemplate, AgentConfigVersion):
        moved += _move_configs(runtime, model)
    runtime.write(_finish)
    return moved


def _move_keys(runtime: Runtime) -> int:
    ids = runtime.read(lambda session: session.scalars(select(ApiKey.id)).all())
    return _in_batches(runtime, ids, _move_key)


def _move_key(session: Session, key_id: str) -> int:
    vault = session.runtime.vault
    moved = 0
    secrets = session.scalars(
        select(ApiKeySecret).where(ApiKeySecret.api_key_id == key_id).with_for_update()
    )
    for secret in secrets:
        if not vault.is_current(secret.sealed_secret):
            plain = vault.decrypt(secret.sealed_secret, context_of(key_id))
            secret.sealed_secret = vault.encrypt(plain, context_of(key_id))
            secret.secret_hash = vault.key_hash(plain)
            moved += 1
    sealed = session.scalar(select(ApiKey.sealed_secret).where(ApiKey.id == key_id))
    if sealed is not None and not vault.is_current(sealed):
        again = vault.encrypt(vault.decrypt(sealed, context_of(key_id)), context_of(key_id))
        session.execute(
            update(ApiKey)
            .where(ApiKey.id == key_id)
            .values(sealed_secret=again, updated_at=ApiKey.updated_at)
        )
    return moved


def _move_webhooks(runtime: Runtime) -> int:
    ids = runtime.read(lambda session: session.scalars(select(Webhook.id)).all())

    def move(session: Session, webhook_id: str) -> int:
        vault, context = session.runtime.vault, webhooks.context_of(webhook_id)
        chosen = Webhook.id == webhook_id
        sealed = session.scalar(select(Webhook.sealed_secret).where(chosen).with_for_update())
        if sealed is None or vault.is_current(sealed):
            return 0
        again = vault.encrypt(vault.decrypt(sealed, context), context)
        values = {"sealed_secret": again, "updated_at": Webhook.updated_at}
        session.execute(update(Webhook).where(chosen).values(values))
        return 1

    return _in_batches(runtime, ids, move)


def _move_configs(runtime: Runtime, model: Any) -> int:
    keys = model.__mapper__.primary_key
    ids = runtime.read(lambda session: session.execute(select(*keys)).all())

    def move(session: Session, identity: Any) -> int:
        chosen = [key == part for key, part in zip(keys, identity, strict=True)]
        config = session.scalar(select(model.config).where(*chosen).with_for_update())
        again = config_secrets.reseal(config or {}, session.runtime.vault)
        if config is None or again == config:
            return 0
        values = {"config": again}
        if hasattr(model, "updated_at"):
            values["updated_at"] = model.updated_at
        session.execute(update(model).where(*chosen).values(values))
        return 1

    return _in_batches(runtime, ids, move)


def _finish(session: Session) -> None:
    session.execute(delete(IdempotentAnswer))
    session.execute(
        update(SystemState)
        .where(SystemState.name == SECRET_ID)
        .values(value=session.runtime.vault.current.id)
    )


def _in_batches(runtime: Runtime, ids: Sequence[Any], move: Callable[[Session, Any], int]) -> int:
    moved = 0
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        moved += runtime.write(partial(_move_batch, batch=batch, move=move))
    return moved


def _move_batch(session: Session, batch: Sequence[Any], move: Callable[[Session, Any], int]) -> int:
    return sum(move(session, identity) for identity in batch)
