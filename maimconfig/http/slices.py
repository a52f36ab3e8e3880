"""Lists that are cut by ?limit= and ?offset= as well as by page, as inboxes do."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, post_load, pre_load

from maimconfig.http import fields
from maimconfig.http.pagination import MAX_PAGE, NOT_BOTH
from maimconfig.http.schema import InputSchema
from maimconfig.i18n import Text

DEFAULT_SIZE = 20
NOT_TOGETHER = Text("page 与 offset 不能同时使用", "page and offset can't be used together")
_SAME = ("page_size", "size", "limit")


class SliceQuery(InputSchema):
    """?page= and ?page_size= (`size`), or ?offset= and ?limit=; gives `limit` and `offset`."""

    page = fields.QueryInteger(validate=fields.between(1, MAX_PAGE))
    page_size = fields.QueryInteger(validate=fields.between(1, 100))
    limit = fields.QueryInteger(
        validate=fields.between(1, 100), metadata={"description": "The same as page_size."}
    )
    offset = fields.QueryInteger(validate=fields.between(0, MAX_PAGE))

    @pre_load
    def _one_size(self, data: Any, **_: Any) -> Any:
        given = {name: data[name] for name in _SAME if name in data}
        if len(set(given.values())) > 1:
            raise ValidationError(NOT_BOTH, next(reversed(given)))
        rest = {name: value for name, value in data.items() if name not in _SAME}
        return {**rest, **({"page_size": next(iter(given.values()))} if given else {})}

    @post_load
    def _as_slice(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        limit = data.pop("page_size", DEFAULT_SIZE)
        page, offset = data.pop("page", None), data.pop("offset", None)
        if page is not None and offset is not None:
            raise ValidationError(NOT_TOGETHER, "offset")
        start = offset if offset is not None else ((page or 1) - 1) * limit
        return {**data, "limit": limit, "offset": start}
