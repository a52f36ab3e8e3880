"""SQLAlchemy's statements as a driver takes them: compiled once, with their types' processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.engine import Dialect

Processor = Callable[[Any], Any]


class Compiled:
    """A statement for one kind of database.

    Attributes:
        text: in the driver's own style.
    """

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._order = compiled.positiontup
        self._constants = {
            name: value for name, value in compiled.params.items() if value is not None
        }
        self._binds = _processors(
            (name, bind.type.dialect_impl(dialect).bind_processor(dialect))
            for name, bind in compiled.binds.items()
        )
        self._results = _processors(
            (place, column.type.dialect_impl(dialect).result_processor(dialect, None))
            for place, column in enumerate(getattr(statement, "selected_columns", ()))
        )

    def given(self, values: dict[str, Any]) -> Any:
        """The parameters as the driver takes them.

        Args:
            values: of the bind parameters, by their names.
        """
        found = {**self._constants, **values}
        for name, process in self._binds:
            found[name] = process(found[name])
        return found if self._order is None else tuple([found[name] for name in self._order])

    def made(self, row: Iterable[Any]) -> list[Any]:
        """The values of a row that the driver gave; NULL stays None."""
        values = list(row)
        for place, process in self._results:
            if values[place] is not None:
                values[place] = process(values[place])
        return values


def _processors(found: Iterable[tuple[Any, Processor | None]]) -> list[tuple[Any, Processor]]:
    return [(key, process) for key, process in found if process is not None]
