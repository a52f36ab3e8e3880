"""The widget's script and its demo page."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from maimconfig.widget.routes import WIDGET
from tests.api import Api


def test_script(public: Api) -> None:
    """Pages anywhere may load the script, and ask whether theirs is still the newest."""
    with public.client.get("/widget/widget.js") as answer:
        assert answer.status_code == 200
        assert answer.content_type == "text/javascript; charset=utf-8"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.get_data() == WIDGET.read_bytes()
        known = answer.headers["ETag"]
    assert (
        public.client.get("/widget/widget.js", headers={"If-None-Match": known}).status_code == 304
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="node isn't installed")
def test_script_is_javascript() -> None:
    """The script parses."""
    subprocess.run(["node", "--check", WIDGET], check=True, timeout=60)


def test_demo(public: Api) -> None:
    """The page embeds the widget for the agent that is named, and may connect to a gateway."""
    answer = public.client.get("/widget/demo?agent_id=agent_1&lang=en")
    assert answer.status_code == 200
    assert 'data-agent-id="agent_1" data-open data-lang="en"' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "connect-src 'self' ws: wss:" in policy
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]


def test_demo_asks(public: Api) -> None:
    """Without an agent the page asks for one."""
    answer = public.client.get("/widget/demo")
    assert 'name="agent_id"' in answer.text
    assert "widget.js" not in answer.text


@pytest.mark.parametrize("agent_id", ["%22%3E%3Cscript%3E", "%00", "a" * 51, "'onload='x"])
def test_demo_hostile(agent_id: str, public: Api) -> None:
    """What can't be an id doesn't get into the page."""
    answer = public.client.get(f"/widget/demo?agent_id={agent_id}&lang=%3Cb%3E")
    assert answer.status_code == 200
    assert "widget.js" not in answer.text
    assert "<b>" not in answer.text


def test_internal_plane(api: Api) -> None:
    """The internal plane has no pages for visitors."""
    for path in ("/widget/widget.js", "/widget/demo"):
        assert api.client.get(path).status_code == 404
