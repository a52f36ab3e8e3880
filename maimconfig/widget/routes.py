"""/widget: the chat widget that any page can embed, and a page that shows it."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, make_response, render_template, request

from maimconfig.http.browsers import READABLE_BY_ALL
from maimconfig.http.fields import as_id

WIDGET = Path(__file__).parent / "static" / "widget.js"
LANGUAGES = ("zh", "en")

# The gateway may be on another port or host, which the page learns from /info.
DEMO_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)

blp = Blueprint("widget", __name__, url_prefix="/widget", template_folder="templates")


@blp.get("/widget.js")
def get_widget() -> Response:
    """The script; pages anywhere may load it, and ask again whether it has changed."""
    script = Response(WIDGET.read_bytes(), mimetype="text/javascript")
    script.headers["Cache-Control"] = "no-cache"
    script.headers.update([READABLE_BY_ALL])
    script.add_etag()
    script.make_conditional(request)
    return script


@blp.get("/demo")
def get_demo() -> Response:
    """A page with the widget for the agent that `?agent_id=` names."""
    lang = request.args.get("lang")
    page = make_response(
        render_template(
            "widget/demo.html",
            agent_id=as_id(request.args.get("agent_id", "")),
            lang=lang if lang in LANGUAGES else None,
            address=request.url_root.rstrip("/"),
        )
    )
    page.headers["Content-Security-Policy"] = DEMO_POLICY
    return page
