"""No secret is found where it doesn't belong: recognisable ones are planted, then looked for."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import create_engine, inspect, make_url, text

from tests import factories
from tests.servers.mariadb import connect
from tests.servers.service import LiveService

MASK = "********"


def canary(what: str) -> str:
    """A secret that can't be mistaken for anything else."""
    return f"canary-{what}-{secrets.token_hex(8)}"


MASTER = canary("master-secret-of-the-service")
TOKEN = canary("internal-token")
OPERATOR = canary("operator-key")
PASSWORD = canary("database-password").replace("-", "x")
PROVIDER = {
    "name": "own",
    "base_url": f"https://{canary('host')}.example.com/v1?token={canary('query')}",
    "api_key": canary("provider-key"),
}
AUTH_TOKEN = canary("auth-token")
TEMPLATE_KEY = canary("template-key")
ROTATED_KEY = canary("second-provider-key")
CONFIG = {
    "config_overrides": {
        "model": {"api_providers": [PROVIDER]},
        "maim_message": {"auth_token": [AUTH_TOKEN]},
    }
}
CONFIGURED = [
    PROVIDER["api_key"],
    PROVIDER["base_url"],
    PROVIDER["base_url"].split("/")[2],
    AUTH_TOKEN,
    TEMPLATE_KEY,
    ROTATED_KEY,
]
SETTINGS = [MASTER, TOKEN, OPERATOR, PASSWORD]


class Seen(NamedTuple):
    """What the service was asked, and what it answered."""

    what: str
    status: int
    text: str


class Caller:
    """Calls the internal plane and keeps every answer.

    Attributes:
        seen: the answers, all but those that may show a full key.
        keys: the full API keys that were shown.
    """

    def __init__(self, service: LiveService) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=service.internal, headers=headers, timeout=30)
        self.seen: list[Seen] = []
        self.keys: list[str] = []

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The data of an answer, or its whole body."""
        options = options if body is None else {"json": body, **options}
        answer = self.client.request(method, path, **options)
        found: Any = answer.json() if "json" in answer.headers.get("Content-Type", "") else None
        data = found.get("data", found) if isinstance(found, dict) else found
        shows_key = isinstance(data, dict) and "…" not in data.get("api_key", "…")
        if shows_key and path.startswith("/api/v2/api-keys") and method == "POST":
            self.keys.append(data["api_key"])
        else:
            everything = f"{answer.headers}\n{answer.text}"
            self.seen.append(Seen(f"{method} {path}", answer.status_code, everything))
        return data


@pytest.fixture
def locked_url(database_url: str) -> Iterator[str]:
    """The fresh database, of MySQL with a password that is a canary."""
    if database_url.startswith("sqlite"):
        yield database_url
        return
    name = f"u_{secrets.token_hex(8)}"
    url = make_url(database_url)
    with contextlib.closing(connect(database_url)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute(f"GRANT ALL ON {url.database}.* TO {name}@'%'")
        try:
            locked = url.set(username=name, password=PASSWORD)
            yield locked.render_as_string(hide_password=False)
        finally:
            cursor.execute(f"DROP USER {name}@'%'")


@pytest.fixture
def service(locked_url: str, live_service: Callable[..., LiveService]) -> LiveService:
    """The real service, with every secret that settings can hold."""
    return live_service(
        locked_url,
        "--auto-migrate",
        env={
            "MAIMCONFIG_SECRET_KEY": MASTER,
            "MAIMCONFIG_INTERNAL_TOKEN": TOKEN,
            "MAIMCONFIG_REVEAL_API_KEYS": "false",
            "MAIMCONFIG_LOG_LEVEL": "debug",
            "MAIMCONFIG_LOG_FORMAT": "json",
            "DASHSCOPE_API_KEY": OPERATOR,
            "OPENAI_BASE_URL": f"https://user:{OPERATOR}@llm.example.com/v1?key={OPERATOR}",
        },
    )


def everything(call: Caller) -> None:
    """Make, read, change and delete one of each, with and without success."""
    once = {"Idempotency-Key": canary("idempotency")}
    body: dict[str, Any] = {"tenant_name": "t", "tenant_type": "personal"}
    tenant = call("POST", "/api/v2/tenants", body)["id"]
    template = call(
        "POST",
        "/api/v2/agent-templates",
        {
            "name": "t",
            "tenant_id": tenant,
            "config": factories.providers({**PROVIDER, "api_key": TEMPLATE_KEY}),
        },
        headers=once,
    )["id"]
    body = {"tenant_id": tenant, "name": "a", "config": CONFIG, "template_id": template}
    idempotent = {"Idempotency-Key": canary("idempotency")}
    for _ in range(2):
        agent = call("POST", "/api/v2/agents", body, headers=idempotent)["id"]
    configs(call, agent, template)
    keys(call, tenant, agent)
    for path in (
        f"/api/v2/agents?tenant_id={tenant}",
        f"/api/v2/agent-templates?tenant_id={tenant}",
        "/api/v2/audit-logs?page_size=100",
        "/api/v2/tenants",
        f"/api/v2/tenants/{tenant}/stats",
        "/api/v2/system/models",
        "/api/v2/system/bot-defaults",
        "/openapi.json",
        "/docs",
        "/health",
        "/health/ready",
        "/info",
        "/",
    ):
        call("GET", path)


def configs(call: Caller, agent: str, template: str) -> None:
    """Whatever reads and changes a configuration."""
    path = f"/api/v2/agents/{agent}"
    own = call("GET", f"{path}/config")
    call("PUT", f"{path}/config", own)
    call("PUT", path, {"config": {"persona": "x"}})
    call("PUT", f"{path}/config", factories.providers({**PROVIDER, "api_key": ROTATED_KEY}))
    call("PUT", f"{path}/config?mode=replace", {"persona": "gone"})
    call("POST", f"{path}/config/rollback", {"version": 1})
    call("POST", f"{path}/clone", {"name": "clone"})
    for rest in ("", "/config/effective", "/config/effective?explain=1", "/config/versions",
                 "/config/versions/1", "/config/versions/2/diff?to=3"):  # fmt: skip
        call("GET", path + rest)
    call("PUT", f"/api/v2/agent-templates/{template}", {"description": "x"})
    wrong = {**PROVIDER, "timeout": "soon", "api_key": [PROVIDER["api_key"]], "max_retry": -1}
    other = {**PROVIDER, "name": "other", "base_url": PROVIDER["api_key"]}
    for providers in ([wrong], [PROVIDER, PROVIDER], [other], [{**PROVIDER, "name": PROVIDER}]):
        call("PUT", f"{path}/config", factories.providers(*providers))
    unknown = {"name": "x", "api_key": MASK, "base_url": PROVIDER["base_url"]}
    call("PUT", f"{path}/config", factories.providers(unknown))
    call(
        "PUT", f"{path}/config", {"config_overrides": {"maim_message": {"auth_token": AUTH_TOKEN}}}
    )
    for content in (
        f'{{"config": {{"api_key": "{PROVIDER["api_key"]}", }}}}',
        f'{{"{PROVIDER["api_key"]}": 1, "{PROVIDER["api_key"]}": 1',
        f'["{PROVIDER["api_key"]}", NaN]',
    ):
        headers = {"Content-Type": "application/json"}
        call("PUT", f"{path}/config", content=content, headers=headers)


def keys(call: Caller, tenant: str, agent: str) -> None:
    """Whatever makes, reads and checks an API key."""
    once = {"Idempotency-Key": canary("idempotency")}
    body = {"tenant_id": tenant, "agent_id": agent, "name": "k", "permissions": ["chat"]}
    for _ in range(2):
        key = call("POST", "/api/v2/api-keys", body, headers=once)
    path = f"/api/v2/api-keys/{key['id']}"
    rotated = call("POST", f"{path}/rotate", {"grace_seconds": 60}, headers=once | {
        "Idempotency-Key": canary("idempotency")})["api_key"]  # fmt: skip
    checks = "/api/v2/auth/"
    for secret in (key["api_key"], rotated, key["api_key"][:-1], rotated + "x"):
        call("POST", f"{checks}validate-api-key", {"api_key": secret, "required_permission": "x"})
        call("POST", f"{checks}check-permission", {"api_key": secret, "permission": "chat"})
        call("POST", f"{checks}validate-api-key", {"api_key": [secret]})
        call("POST", f"{checks}validate-api-key?api_key={secret}", {"api_key": 5})
        call("GET", f"/api/v2/api-keys/{secret.replace('/', '')}")
        headers = {"X-Api-Key": secret, "Cookie": f"key={secret}", "User-Agent": secret}
        call("GET", path, headers={**headers, "Referer": f"http://x/?key={secret}"})
    call("PUT", path, {"description": "x"})
    call("GET", f"/api/v2/api-keys?tenant_id={tenant}")
    call("POST", f"{path}/disable")
    call("POST", f"{path}/rotate", {})
    call("POST", f"{checks}validate-api-key", {"api_key": rotated})
    for scheme in (f"Bearer {TOKEN}x", f"bearer {TOKEN}", f"Basic {TOKEN}"):
        call("GET", "/api/v2/tenants", headers={"Authorization": scheme})


def unexpected(call: Caller, locked_url: str) -> None:
    """Calls that fail with 500, since a table is gone, and whose trace is in the log."""
    engine = create_engine(locked_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE agent_config_versions RENAME TO gone"))
    tenant = call("GET", "/api/v2/tenants")["items"][0]["id"]
    body = {"tenant_id": tenant, "name": "late", "config": CONFIG}
    call("POST", "/api/v2/agents", body)
    assert call.seen[-1].status == 500
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO agent_config_versions"))
    engine.dispose()


def found_in(content: str, planted: list[str]) -> list[str]:
    """Which of the planted secrets a text holds."""
    return [secret for secret in planted if secret in content]


def test_nowhere(service: LiveService, locked_url: str, tmp_path: Path) -> None:
    """Neither an answer, nor a log line, nor a row or a byte of the database holds a secret."""
    call = Caller(service)
    with call.client:
        everything(call)
        unexpected(call, locked_url)
    with httpx.Client(base_url=service.public) as public:
        for path in ("/", "/openapi.json", "/api/v2/tenants", "/health"):
            call.seen.append(Seen(path, 0, public.get(path).text))
    assert len(call.keys) == 3
    assert len(set(call.keys)) == 2
    statuses = {seen.status for seen in call.seen}
    assert statuses >= {200, 400, 401, 403, 404, 422, 500}
    assert service.stop() == 0

    planted = [*CONFIGURED, *SETTINGS, *call.keys]
    # Nor is a sealed one told: whoever reads it could try to open it for ever.
    told = [*planted, "enc:"]
    assert {seen.what: found for seen in call.seen if (found := found_in(seen.text, told))} == {}
    assert '"unexpected"' in service.log
    assert [line for line in service.log.splitlines() if found_in(line, planted)] == []

    rows = all_rows(locked_url)
    assert rows["idempotent_answers"].count("enc:") == 4
    assert rows["agents"].count("enc:") > 2
    assert {
        table: found for table, content in rows.items() if (found := found_in(content, planted))
    } == {}
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes().decode("latin-1")
            assert (file.name, found_in(content, planted)) == (file.name, [])


def all_rows(url: str) -> dict[str, str]:
    """All that is in the database, by table."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            table: "\n".join(
                str(tuple(row)) for row in connection.execute(text(f"SELECT * FROM {table}"))
            )
            for table in inspect(engine).get_table_names()
        }
    engine.dispose()
    return found


def test_database_away(live_service: Callable[..., LiveService]) -> None:
    """While the database can't be reached no password is told, neither to callers nor in the
    log."""
    service = live_service(f"mysql://root:{PASSWORD}@127.0.0.1:1/none")
    with httpx.Client(base_url=service.internal, timeout=30) as client:
        answers = [
            client.get("/health").text,
            client.get("/health/ready").text,
            client.get("/api/v2/tenants").text,
            client.post("/api/v2/tenants", json={"tenant_name": "t", "tenant_type": "x"}).text,
        ]
    assert service.stop() == 0
    assert "SYS_002" in answers[2]
    assert "database.unreachable" in service.log
    assert PASSWORD not in "".join(answers) + service.log
