"""What ends a start with a sentence instead of a traceback."""

from __future__ import annotations


class ServeError(Exception):
    """The service cannot be started; its text is one sentence for the operator."""
