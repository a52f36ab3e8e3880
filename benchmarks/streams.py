"""Health beside 24 slow streams and 200 chats, each of which is answered and billed once.

    python -m benchmarks.streams [--url DATABASE_URL]

The provider is benchmarks/provider.py. Prints how long GET /health takes, idle and loaded.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from benchmarks.chat import _agent
from benchmarks.control_plane import _call, _environment
from benchmarks.processes import Served

STREAMS = 24
CHATS = 200
CHATTING = 8  # connections that the chats come over
PROBES = 1000

MODELS = """
[[api_providers]]
name = "Bench"
base_url = "{provider}/v1"
[[models]]
model_identifier = "bench"
name = "bench"
api_provider = "Bench"
price_in = 0.7
price_out = 1.3
[model_task_config.replyer]
model_list = ["bench"]
"""


def main() -> None:
    """Measure, check and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="empty database to measure on; a fresh SQLite file if absent")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        log = folder / "errors.log"
        command = ["-m", "benchmarks.provider"]
        provider = stack.enter_context(Served(command, ["provider"], {}, log)).urls["provider"]
        models = folder / "models.toml"
        models.write_text(MODELS.format(provider=provider))
        env = _environment(folder, options.url) | {"MAIMBOT_MODEL_CONFIG_PATH": str(models)}
        command = ["-m", "maimconfig", "serve", "--auto-migrate"]
        served = stack.enter_context(Served(command, ["internal"], env, log))
        base = served.urls["internal"]
        agent = _agent(base)
        chat(base, agent, 0)
        idle = _probe(base, PROBES)
        loaded, answered = _under_load(base, agent)
        print(f"/health p99: {idle:.1f} ms idle, {loaded:.1f} ms loaded: {loaded / idle:.1f}x")
        _check(base, agent, answered)


def chat(base: str, agent: dict[str, str], number: int) -> str:
    """One plain chat in a conversation of its own; its reply's id."""
    data = _call(base, "/api/v2/chat", {**agent, "message": "Hello", "user_id": f"u{number}"})
    return str(data["message_id"])


def _stream(base: str, agent: dict[str, str], number: int) -> str:
    body = {**agent, "message": "slow", "user_id": f"s{number}", "stream": True}
    with httpx.stream("POST", f"{base}/api/v2/chat", json=body, timeout=60) as answer:
        text = "".join(answer.iter_text())
    assert answer.status_code == 200, text
    assert text.count("event: message.end") == 1, text[-500:]
    return f"s{number}"


def _under_load(base: str, agent: dict[str, str]) -> tuple[float, list[str]]:
    with ThreadPoolExecutor(STREAMS) as streams, ThreadPoolExecutor(CHATTING) as chats:
        running = [streams.submit(_stream, base, agent, number) for number in range(STREAMS)]
        time.sleep(1)
        told: list[float] = []
        over = threading.Event()
        probing = threading.Thread(target=lambda: told.append(_probe(base, 10**6, over)))
        probing.start()
        answered = list(chats.map(lambda number: chat(base, agent, number), range(1, CHATS + 1)))
        answered += [stream.result() for stream in running]
        over.set()
        probing.join()
    return told[0], answered


def _probe(base: str, number: int, over: threading.Event | None = None) -> float:
    """p99 of GET /health in ms."""
    times = []
    with httpx.Client(base_url=base, timeout=30) as client:
        while len(times) < number and not (over and over.is_set()):
            began = time.perf_counter()
            assert client.get("/health").status_code == 200
            times.append(1000 * (time.perf_counter() - began))
            time.sleep(0.002)
    return sorted(times)[int(len(times) * 0.99)]


def _check(base: str, agent: dict[str, str], answered: list[str]) -> None:
    """Each message has one reply and one usage row, and the statement is the sum of the rows."""

    def get(path: str, **query: Any) -> Any:
        answer = httpx.get(base + path, params={**query, "tenant_id": agent["tenant_id"]})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    users = [f"u{number}" for number in range(CHATS + 1)] + [f"s{n}" for n in range(STREAMS)]
    for user in users:
        said = get("/api/v2/chat/history", agent_id=agent["agent_id"], user_id=user)["items"]
        assert sorted(message["role"] for message in said) == ["assistant", "user"], said
    totals = get("/api/v2/usage")["totals"]
    assert totals["requests"] == len(users) == len(set(answered)) + 1, totals
    month = time.strftime("%Y-%m", time.gmtime())
    bill = get(f"/api/v2/tenants/{agent['tenant_id']}/billing", month=month)
    assert Decimal(str(bill["total"]["cost"])) == Decimal(str(totals["cost"])), (bill, totals)
    print(f"{len(users)} messages: one reply and one usage row each; billed {totals['cost']}.")


if __name__ == "__main__":
    main()
