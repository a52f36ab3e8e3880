"""Lost updates are refused: a change names the revision it was made from."""

from __future__ import annotations

from collections.abc import Collection

from maimconfig.http.errors import PreconditionFailed


def require(revision: int, expected: Collection[int] | None) -> None:
    """Check the revision of a row that is locked for the change.

    Args:
        revision: the row's.
        expected: the revisions that the caller knows; None when it doesn't care.

    Raises:
        PreconditionFailed: somebody else was first.
    """
    if expected is not None and revision not in expected:
        raise PreconditionFailed(internal=f"revision is {revision}")
