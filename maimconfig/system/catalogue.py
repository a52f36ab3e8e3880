"""The system's AI providers and models, and the bots' defaults: from the operator's TOML files.

The files are MaiBot's own (`model_config.toml`, `bot_config.toml`), so that one file can serve
both. Without one there is a built-in list of two providers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypedDict
from urllib.parse import urlsplit

from maimconfig.agents import config_fields, config_secrets
from maimconfig.agents.config_texts import NOT_OBJECT
from maimconfig.agents.merge import fresh

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MODEL = "config_overrides.model"
_BUILTIN: Final = {
    "dashscope": ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen-turbo"),
    "openai": ("https://api.openai.com/v1", "gpt-4o-mini"),
}
# Neither built-in model hears or embeds; of the two only OpenAI's sees.
_BUILTIN_VLM: Final = "openai"
_TASKS_WITHOUT_BUILTIN: Final = ("voice", "embedding")


class CatalogueError(Exception):
    """A file can't be used; the text is one sentence that names it and what is wrong."""


class OperatorProvider(Protocol):
    """The operator's own account with a built-in provider; None is not set."""

    @property
    def api_key(self) -> str | None:
        """The key, a secret."""

    @property
    def base_url(self) -> str | None:
        """The address in place of the built-in one."""

    @property
    def model(self) -> str | None:
        """The model's identifier in place of the built-in one."""


class TaskDefaults(TypedDict):
    """How a task chooses and asks its models, which are tried in order."""

    model_list: list[str]
    max_tokens: int
    temperature: float
    slow_threshold: float


@dataclass(frozen=True, slots=True)
class Provider:
    """An AI provider of the system; times are in seconds.

    Attributes:
        needs_key: a key switches it on. One of the operator's file is on as it stands there: a
            local server such as Ollama has no key.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    client_type: str
    max_retry: int
    timeout: int
    retry_interval: int
    needs_key: bool = False

    @property
    def is_enabled(self) -> bool:
        """Whether it can be asked."""
        return bool(self.api_key) or not self.needs_key

    def public(self, *, address: bool = True) -> dict[str, Any]:
        """What callers may know: neither the key nor what else the address may hold.

        Args:
            address: whether they may know where it is.
        """
        return {
            "name": self.name,
            "base_url": _without_secrets(self.base_url) if address else config_fields.MASK,
            "client_type": self.client_type,
            "max_retry": self.max_retry,
            "timeout": self.timeout,
            "retry_interval": self.retry_interval,
            "enabled": self.is_enabled,
        }


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the system; prices are per 1M tokens."""

    name: str
    model_identifier: str
    api_provider: str
    price_in: float
    price_out: float
    temperature: float | None
    force_stream_mode: bool
    extra_params: Mapping[str, Any] = field(repr=False)

    def public(self) -> dict[str, Any]:
        """What callers may know; extra_params may hold headers with a key, so they are not in."""
        return {
            "name": self.name,
            "model_identifier": self.model_identifier,
            "api_provider": self.api_provider,
            "price_in": self.price_in,
            "price_out": self.price_out,
            "temperature": self.temperature,
            "force_stream_mode": self.force_stream_mode,
        }


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The system's providers and models, and which models each task uses."""

    providers: tuple[Provider, ...]
    models: tuple[Model, ...]
    tasks: Mapping[str, TaskDefaults]

    @property
    def provider_names(self) -> frozenset[str]:
        """Names that an agent's own provider can't have."""
        return frozenset(provider.name for provider in self.providers)

    def public(self, *, addresses: bool = True) -> dict[str, Any]:
        """What GET /system/models shows; no secret is in it.

        Args:
            addresses: whether the caller may know where the providers are.
        """
        return {
            "providers": [provider.public(address=addresses) for provider in self.providers],
            "models": [model.public() for model in self.models],
            "defaults": {task: fresh(dict(settings)) for task, settings in self.tasks.items()},
        }


def load_models(path: Path | None, operator: Mapping[str, OperatorProvider]) -> Catalogue:
    """The system's providers and models.

    Args:
        path: a TOML file with `[[api_providers]]`, `[[models]]` and `[model_task_config.<task>]`;
            it is the whole truth then. None for the built-in list.
        operator: accounts with the built-in providers, by name ("dashscope", "openai").

    Raises:
        CatalogueError: the file is missing, unreadable or malformed, or refers to a provider or a
            model that it does not have.
    """
    if path is not None:
        return _catalogue(_read(path), str(path), need_keys=False)
    source = "The built-in model list with the operator's settings"
    return _catalogue(_builtin(operator), source, need_keys=True)


def load_bot_defaults(path: Path | None) -> dict[str, Any]:
    """The bots' defaults by section: the TOML file as it is, else those of the field table.

    MaiBot's file holds the tokens of its own message server; these are masked.

    Raises:
        CatalogueError: the file is missing, unreadable or malformed.
    """
    if path is None:
        return config_fields.defaults()
    given = config_secrets.mask(_read(path))
    masked: dict[str, Any] = config_secrets.mask({"config_overrides": given})["config_overrides"]
    return masked


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise CatalogueError(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{path} can't be read: it is not UTF-8.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CatalogueError(f"{path} is not TOML: {error}.") from error


def _catalogue(raw: Mapping[str, Any], source: str, *, need_keys: bool) -> Catalogue:
    for array in ("api_providers", "models"):
        if not raw.get(array):
            raise CatalogueError(f"{source} has no [[{array}]].")
    _refuse_wrong_values(raw, source)
    tasks = raw.get("model_task_config", {})
    catalogue = Catalogue(
        providers=tuple(_provider(row, needs_key=need_keys) for row in raw["api_providers"]),
        models=tuple(_model(row) for row in raw["models"]),
        tasks={name: _task(row) for name, row in tasks.items()},
    )
    _refuse_dangling_names(catalogue, source)
    return catalogue


def _refuse_wrong_values(raw: Mapping[str, Any], source: str) -> None:
    arrays = {key: raw[key] for key in ("api_providers", "models")}
    _refuse(arrays, "", "", source)
    tasks = raw.get("model_task_config", {})
    if not isinstance(tasks, dict):
        raise CatalogueError(f"{source} has a wrong value at model_task_config: {NOT_OBJECT.en}.")
    for name, settings in tasks.items():
        # Versions of MaiBot differ in their tasks, so an unknown one is checked like a known one.
        section = {"model_task_config": {"utils": settings}}
        _refuse(section, "model_task_config.utils", f"model_task_config.{name}", source)


def _refuse(section: Mapping[str, Any], known: str, name: str, source: str) -> None:
    """Raise the first problem of a part of the file; its path reads `name`, not `known`."""
    problems = config_fields.check({"config_overrides": {"model": dict(section)}}, ())
    for path, texts in problems.items():
        inner = path.removeprefix(f"{_MODEL}.").removeprefix(known)
        raise CatalogueError(f"{source} has a wrong value at {name}{inner}: {texts[0].en}.")


def _refuse_dangling_names(catalogue: Catalogue, source: str) -> None:
    for model in catalogue.models:
        if model.api_provider not in catalogue.provider_names:
            needed, by = model.api_provider, model.name
            raise CatalogueError(f"{source} has no provider {needed!r}, which model {by!r} needs.")
    models = {model.name for model in catalogue.models}
    for task, settings in catalogue.tasks.items():
        for name in settings["model_list"]:
            if name not in models:
                raise CatalogueError(f"{source} has no model {name!r}, which task {task!r} needs.")


def _provider(row: Mapping[str, Any], *, needs_key: bool) -> Provider:
    given = config_fields.item_defaults(f"{_MODEL}.api_providers[]") | dict(row)
    return Provider(
        name=given["name"],
        base_url=given["base_url"],
        api_key=given.get("api_key") or "",
        client_type=given["client_type"],
        max_retry=given["max_retry"],
        timeout=given["timeout"],
        retry_interval=given["retry_interval"],
        needs_key=needs_key,
    )


def _model(row: Mapping[str, Any]) -> Model:
    given = config_fields.item_defaults(f"{_MODEL}.models[]") | dict(row)
    return Model(
        name=given["name"],
        model_identifier=given["model_identifier"],
        api_provider=given["api_provider"],
        price_in=float(given["price_in"]),
        price_out=float(given["price_out"]),
        temperature=given.get("temperature"),
        force_stream_mode=given["force_stream_mode"],
        extra_params=given["extra_params"],
    )


def _task(row: Mapping[str, Any]) -> TaskDefaults:
    given = config_fields.item_defaults(f"{_MODEL}.model_task_config.<task>") | dict(row)
    return TaskDefaults(
        model_list=given["model_list"],
        max_tokens=given["max_tokens"],
        temperature=given["temperature"],
        slow_threshold=given["slow_threshold"],
    )


def _builtin(operator: Mapping[str, OperatorProvider]) -> dict[str, Any]:
    """The built-in list in the layout of the file."""
    providers: list[dict[str, Any]] = []
    models: dict[str, dict[str, Any]] = {}
    for name, (base_url, identifier) in _BUILTIN.items():
        account = operator.get(name)
        key = account.api_key if account else None
        base_url = (account and account.base_url) or base_url
        identifier = (account and account.model) or identifier
        providers.append({"name": name, "base_url": base_url, "api_key": key or ""})
        taken = any(model["name"] == identifier for model in models.values())
        models[name] = {
            "name": f"{name}/{identifier}" if taken else identifier,
            "model_identifier": identifier,
            "api_provider": name,
        }
    tasks = {task: {"model_list": _builtin_models(task, models)} for task in config_fields.TASKS}
    return {"api_providers": providers, "models": list(models.values()), "model_task_config": tasks}


def _builtin_models(task: str, models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if task in _TASKS_WITHOUT_BUILTIN:
        return []
    if task == "vlm":
        return [models[_BUILTIN_VLM]["name"]]
    return [model["name"] for model in models.values()]


def _without_secrets(url: str) -> str:
    """A URL without user, password, query and fragment, any of which can hold a key."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
