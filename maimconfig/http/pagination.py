"""Lists: ?page= and ?page_size=, filtered, counted and cut in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from marshmallow import Schema, ValidationError, pre_load
from marshmallow import fields as plain
from sqlalchemy import Select, func, select

from maimconfig.db.session import Session
from maimconfig.http import fields
from maimconfig.http.schema import InputSchema, Ready
from maimconfig.i18n import Text

T = TypeVar("T")

MAX_PAGE = 1_000_000_000
NOT_BOTH = Text("size 与 page_size 不一致", "size and page_size differ")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: the objects on it.
        page: its number, from 1.
        page_size: how many objects a page has at most.
        total: how many objects there are on all pages.
    """

    items: Sequence[T]
    page: int
    page_size: int
    total: int

    @property
    def pagination(self) -> dict[str, Any]:
        """As the contract shows it."""
        pages = -(-self.total // self.page_size)
        return {
            "page": self.page,
            "page_size": self.page_size,
            "total": self.total,
            "total_pages": pages,
            "has_next": self.page < pages,
            "has_prev": self.page > 1,
        }


class PageQuery(InputSchema):
    """?page= from 1, ?page_size= 1..100; `size` is another name of `page_size`."""

    page = fields.QueryInteger(load_default=1, validate=fields.between(1, MAX_PAGE))
    page_size = fields.QueryInteger(load_default=20, validate=fields.between(1, 100))

    @pre_load
    def _accept_size(self, data: Any, **_: Any) -> Any:
        if "size" not in data:
            return data
        given = dict(data)
        size = given.pop("size")
        if given.setdefault("page_size", size) != size:
            raise ValidationError(NOT_BOTH, "size")
        return given


class Pagination(Schema):
    """Where a page stands in its list."""

    page = plain.Integer(required=True)
    page_size = plain.Integer(required=True)
    total = plain.Integer(required=True)
    total_pages = plain.Integer(required=True)
    has_next = plain.Boolean(required=True)
    has_prev = plain.Boolean(required=True)


class PageOut(Ready):
    """A page of a list.

    Attributes:
        item: the schema of what is on it.
    """

    item: ClassVar[Schema]

    def dump(self, page: Page[Any], *, many: bool | None = None) -> Any:
        """The page as it is shown."""
        return {
            "items": [self.item.dump(item) for item in page.items],
            "pagination": page.pagination,
        }


_pages: dict[str, type[Schema]] = {}


def page_of(item: type[Schema]) -> type[Schema]:
    """The schema of a page of `item`s; one class for each item, so that OpenAPI names it once."""
    name = f"{item.__name__}Page"
    if name not in _pages:
        fields_of_page = {
            "items": plain.List(plain.Nested(item), required=True),
            "pagination": plain.Nested(Pagination, required=True),
        }
        _pages[name] = type(name, (PageOut,), {**fields_of_page, "item": item()})
    return _pages[name]


def paginate(
    session: Session, model: type[T], rows: Select[Any], *, page: int, page_size: int,
    total: int | None = None, newest: str = "created_at",
) -> Page[T]:  # fmt: skip
    """Cut one page out of a query, newest first.

    Args:
        model: what the page holds.
        rows: selects `model.id` of all objects of the list, filtered, without an order.
        page, page_size: which page.
        total: how many objects there are, when something keeps count of them already.
        newest: the column that says what is new.
    """
    if total is None:
        total = session.scalar(select(func.count()).select_from(rows.subquery())) or 0
    key, moment = model.id, getattr(model, newest)  # type: ignore[attr-defined]
    # The index alone finds the ids of a far page; only its own rows are then read.
    cut = cut_out(
        rows, (moment, key), limit=page_size, offset=(page - 1) * page_size, total=total
    ).subquery()
    found = select(model).join(cut, key == cut.c.id).order_by(moment.desc(), key.desc())
    return Page(session.scalars(found).all(), page, page_size, total)


class Stretch(NamedTuple):
    """A part of a list, as it is reached from one of the list's ends.

    Attributes:
        from_end: it is reached from the list's end, in the reverse order.
        limit: how many rows it has at most.
        skip: how many rows stand before it, on the way from there.
    """

    from_end: bool
    limit: int
    skip: int


def stretch(*, limit: int, offset: int, total: int) -> Stretch:
    """A part of a list from the end that is nearer: a database walks over all that it skips.

    Args:
        limit, offset: how many rows, and how many before them, from the list's beginning.
        total: how many rows the list has.
    """
    after = total - offset - limit
    if offset <= after:
        return Stretch(False, limit, offset)
    return Stretch(True, min(max(total - offset, 0), limit), max(after, 0))


def cut_out(
    rows: Select[Any], order: Sequence[Any], *, limit: int, offset: int, total: int
) -> Select[Any]:
    """A stretch of a list that is ordered by descending columns.

    Args:
        rows: all of them, without an order.
        order: the columns, which put the rows into one order.
        total: how many rows there are.

    Returns:
        the rows of the stretch, in the one or the other direction.
    """
    found = stretch(limit=limit, offset=offset, total=total)
    directed = [column.asc() if found.from_end else column.desc() for column in order]
    return rows.order_by(*directed).limit(found.limit).offset(found.skip)
