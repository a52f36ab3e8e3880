"""Serving WSGI apps: planes on sockets, in one process or several, drained at the end.

This package knows no Flask, no database and no settings; `run` is its entry point.
"""

from __future__ import annotations

from maimconfig.serving.errors import ServeError
from maimconfig.serving.service import Planes, run
from maimconfig.serving.sockets import Bind
from maimconfig.serving.worker import SelfServing

__all__ = ["Bind", "Planes", "SelfServing", "ServeError", "run"]
