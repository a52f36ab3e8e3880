"""The peer: a bare Flask JSON route on waitress, with the service's threads and CPU binding.

It parses a JSON body with orjson and answers one; it knows no schema, no database and no log.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
from flask import Flask, request
from flask.json.provider import JSONProvider

from maimconfig.serving import Bind, Planes, run


class Orjson(JSONProvider):
    """orjson, as the service uses it."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)


app = Flask(__name__)
app.json = Orjson(app)


@app.post("/bare")
def bare() -> dict[str, Any]:
    """Answer what was asked."""
    body = request.get_json()
    return {"success": True, "data": {"valid": True, "api_key": body["api_key"]}}


if __name__ == "__main__":
    sys.exit(
        run(
            lambda: Planes({"bare": app}, on_drain=lambda: None, close=lambda: None),
            {"bare": Bind("127.0.0.1", 0)},
            workers=int(sys.argv[1]) if len(sys.argv) > 1 else 1,
            threads=16,
            affinity=True,
            announce=lambda addresses: print(f"bare http://{addresses['bare']}", flush=True),
        )
    )
