"""Files of tenants: YAML, or JSON by the ending."""

from __future__ import annotations

import functools
import json
import os
import secrets
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from maimconfig.http.errors import AppError
from maimconfig.http.json import MAX_DEPTH, loads
from maimconfig.http.schema import flat
from maimconfig.moving.errors import MovingError, fields, sentence
from maimconfig.moving.schemas import Document

# Of what stands in a body of the API, a plugin's config of an agent stands deepest in a file:
# document, tenants, tenant, agents, agent, plugins, setting, where a body has one level.
_DEPTH = MAX_DEPTH + 6


def read(path: Path) -> dict[str, Any]:
    """The document of a file, as strictly read as a body of the API.

    Raises:
        MovingError: the file can't be read, or holds something else.
    """
    try:
        text = path.read_text("utf-8")
        body = text if _is_json(path) else json.dumps(_from_yaml(text))
        found = loads(body.encode(), depth=_DEPTH)
        if not isinstance(found, dict):
            raise MovingError(
                f"{path} isn't right: it must be an object with maimconfig, templates and tenants."
            )
        document: dict[str, Any] = Document().load(found)
    except OSError as error:
        raise MovingError(f"{path} can't be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise MovingError(f"{path} isn't right: {fields(flat(error.messages))}.") from error
    except AppError as error:
        raise MovingError(f"{path} isn't right: {sentence(error)}.") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise MovingError(f"{path} can't be read: {' '.join(str(error).split())}.") from error
    return document


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a document, whole or not at all, readable for its owner only.

    Raises:
        MovingError: the file can't be written.
    """
    text = _as_json(document) if _is_json(path) else _as_yaml(document)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise MovingError(f"{path} can't be written: {error.strerror or error}.") from error


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _as_yaml(document: dict[str, Any]) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(document, Dumper=dumper, allow_unicode=True, sort_keys=False, width=100)
    return text


def _from_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


@functools.cache
def _loader() -> Any:
    """A safe loader that leaves times texts, as they are in JSON, and refuses a key twice."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
            for first, found in base.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise ValueError(f"the key {key} stands twice{node.start_mark}")
            return super().construct_mapping(node, deep)

    return Loader
