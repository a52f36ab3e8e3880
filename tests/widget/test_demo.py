"""The demo page in a browser: a visitor, the AI, and a person who takes over and gives back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.servers.service import LiveService

ADMIN = {"email": "boss@example.com", "password": "a-good-long-password"}
PLANES = ("internal", "public", "realtime")
PATIENCE_MS = 30_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def service(
    live_service: Callable[..., LiveService], request: pytest.FixtureRequest
) -> LiveService:
    """The whole service with a first administrator, on the test's database where it has one."""
    wants = "database_url" in request.fixturenames
    database_url = request.getfixturevalue("database_url") if wants else None
    env = {f"MAIMCONFIG_ADMIN_{name.upper()}": value for name, value in ADMIN.items()}
    return live_service(database_url, "--auto-migrate", planes=PLANES, env=env)


@pytest.fixture
def agent_id(service: LiveService) -> str:
    """An agent of a tenant that allows guests."""
    with httpx.Client(base_url=f"{service.internal}/api/v2", timeout=30) as caller:

        def made(path: str, **body: Any) -> str:
            answer = caller.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]["id"]

        tenant_id = made(
            "/tenants",
            tenant_name="acme",
            tenant_type="enterprise",
            tenant_config={"guest_chat": True},
        )
        return made("/agents", tenant_id=tenant_id, name="小麦")


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium isn't installed")
    with sync_playwright() as playwright:
        # --no-sandbox: root may not have one, and the pages are the suite's own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


class Staff:
    """Somebody who answers customers, over the API."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        token = self.call("POST", "/auth/login", **ADMIN)["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **body: Any) -> Any:
        """The answer of a call that succeeds."""
        answer = self.client.request(method, path, json=body or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def conversation(self) -> str:
        """The id of the one that waits for a person."""
        found = self.call("GET", "/admin/conversations?status=pending")
        rows = found["items"] if isinstance(found, dict) else found
        assert len(rows) == 1
        return str(rows[0]["id"])


class Visitor:
    """What a visitor does and sees."""

    def __init__(self, page: Page, pictures: Path) -> None:
        self.page = page
        self.pictures = pictures
        self.log = page.get_by_role("log")

    def says(self, text: str) -> None:
        """Type a message and send it."""
        self.page.get_by_role("textbox").fill(text)
        self.page.get_by_role("textbox").press("Enter")

    def sees(self, *texts: str, name: str) -> None:
        """Wait for the texts of all messages, in order, and keep a picture."""
        expect(self.log.locator(".message")).to_contain_text(texts, timeout=PATIENCE_MS)
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def is_told(self, text: str) -> None:
        """Wait for what the window's status says."""
        expect(self.page.get_by_role("status")).to_have_text(text, timeout=PATIENCE_MS)


@pytest.fixture
def visitor(page: Page, tmp_path: Path) -> Visitor:
    """Somebody at the browser; MAIMCONFIG_TEST_PICTURES names a folder to keep the pictures in."""
    pictures = Path(os.environ.get("MAIMCONFIG_TEST_PICTURES") or tmp_path)
    pictures.mkdir(parents=True, exist_ok=True)
    return Visitor(page, pictures)


@pytest.fixture
def staff(service: LiveService) -> Iterator[Staff]:
    """The administrator, who may answer."""
    with httpx.Client(base_url=f"{service.public}/api/v1", timeout=30) as client:
        yield Staff(client)


@pytest.mark.usefixtures("database_url")
def test_hand_over(service: LiveService, agent_id: str, visitor: Visitor, staff: Staff) -> None:
    """A visitor chats with the AI, then with a person, while the AI is silent, then with the AI."""
    errors: list[str] = []
    visitor.page.on("pageerror", lambda error: errors.append(str(error)))
    visitor.page.goto(f"{service.public}/widget/demo?agent_id={agent_id}&lang=en")
    visitor.is_told("You are talking with an assistant")
    visitor.says("hello")
    said = ["hello", "hello"]
    visitor.sees(*said, name="1-ai")

    visitor.page.get_by_role("button", name="Ask for a person").click()
    visitor.is_told("Finding a person for you…")
    visitor.sees(*said, "A person will be with you shortly.", name="2-waiting")

    conversation = f"/admin/conversations/{staff.conversation()}"
    staff.call("POST", f"{conversation}/takeover")
    visitor.is_told("You are talking with a person")
    staff.call("POST", f"{conversation}/messages", content="Kim here")
    expect(visitor.log).to_contain_text("Kim here")
    visitor.says("are you real?")
    staff.call("POST", f"{conversation}/messages", content="I am")
    expect(visitor.log.locator(".message").last).to_contain_text("I am")
    assert visitor.log.locator(".message.ai").count() == 1
    visitor.page.screenshot(path=visitor.pictures / "3-person.png")

    staff.call("POST", f"{conversation}/release")
    visitor.is_told("You are talking with an assistant")
    visitor.says("and now?")
    expect(visitor.log.locator(".message.ai")).to_have_count(2)
    expect(visitor.log.locator(".message").last).to_contain_text("and now?")
    visitor.page.screenshot(path=visitor.pictures / "4-ai-again.png")
    assert not errors


def test_reload_and_restart(service: LiveService, agent_id: str, visitor: Visitor) -> None:
    """After a reload, and after a restart of the service, the conversation goes on whole."""
    visitor.page.goto(f"{service.public}/widget/demo?agent_id={agent_id}&lang=en")
    visitor.says("one")
    expect(visitor.log.locator(".message.ai")).to_have_count(1)
    visitor.page.reload()
    visitor.sees("one", "one", name="5-reloaded")
    addresses = service.urls
    service.stop()
    visitor.is_told("Disconnected, reconnecting…")
    visitor.says("two")
    binds = {f"MAIMCONFIG_{plane.upper()}_BIND": address.split("//")[1].split("/")[0]
             for plane, address in addresses.items()}  # fmt: skip
    service.change_env(binds)
    service.start()
    visitor.sees("one", "one", "two", "two", name="6-restarted")


@pytest.mark.parametrize("reloaded", [False, True])
def test_session_over(
    service: LiveService, agent_id: str, visitor: Visitor, reloaded: bool
) -> None:
    """When the session is over, while the page is open or before, a message begins another."""
    visitor.page.goto(f"{service.public}/widget/demo?agent_id={agent_id}&lang=en")
    visitor.says("one")
    expect(visitor.log.locator(".message.ai")).to_have_count(1)
    kept = visitor.page.evaluate("JSON.parse(Object.values(localStorage)[0]).session")
    ended = httpx.delete(
        f"{service.public}/api/v1/chat/sessions/{kept['id']}",
        headers={"Authorization": f"Bearer {kept['token']}"},
        timeout=30,
    )
    assert ended.status_code == 204
    if reloaded:
        visitor.page.reload()
    visitor.is_told("This chat has ended; a message begins another")
    visitor.says("again")
    visitor.sees("again", "again", name="7-another")
    visitor.is_told("You are talking with an assistant")


def test_phone(service: LiveService, agent_id: str, visitor: Visitor) -> None:
    """On a phone nothing lies over the button that sends; Escape closes, and the bubble opens."""
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    visitor.page.goto(f"{service.public}/widget/demo?agent_id={agent_id}&lang=en")
    visitor.is_told("You are talking with an assistant")
    visitor.page.get_by_role("textbox").fill("hello")
    visitor.page.get_by_role("button", name="Send").click()
    visitor.sees("hello", "hello", name="8-phone")
    visitor.page.keyboard.press("Escape")
    bubble = visitor.page.get_by_role("button", name="Open the chat")
    expect(bubble).to_be_focused()
    expect(visitor.log).to_be_hidden()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_role("textbox")).to_be_focused()


def test_long_message(service: LiveService, agent_id: str, visitor: Visitor) -> None:
    """The field grows with what is typed, up to a limit, and shrinks when it is sent."""
    visitor.page.goto(f"{service.public}/widget/demo?agent_id={agent_id}&lang=en")
    visitor.is_told("You are talking with an assistant")
    field = visitor.page.get_by_role("textbox")

    def height() -> float:
        return float(field.evaluate("field => field.offsetHeight"))

    empty = height()
    field.fill("one\ntwo\nthree")
    grown = height()
    field.fill("line\n" * 100)
    assert empty < grown < height() < 200
    field.press("Enter")
    expect(visitor.log.locator(".message.ai")).to_have_count(1)
    assert height() == empty
