"""An AI provider that answers at once, on loopback: what a chat costs beside it is the service's.

Prints `provider http://address` when it listens. With `stall` in the last message a stream begins
and then stays silent; with `slow` it takes 10 s.
"""

from __future__ import annotations

import asyncio
import json

USAGE = {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}
ANSWER = json.dumps(
    {
        "choices": [{"index": 0, "message": {"content": "Hello to you"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def _event(**choice: object) -> bytes:
    chunk = {"choices": [{"index": 0, "finish_reason": None, **choice}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


FIRST = _event(delta={"content": "Hello"})
SLOW_PIECES, SLOW_SECONDS = 100, 10
REST = _event(delta={"content": " to you"}) + _event(delta={}, finish_reason="stop")
END = f"data: {json.dumps({'choices': [], 'usage': USAGE})}\n\ndata: [DONE]\n\n".encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            asked = json.loads(await reader.readexactly(length))
            if not asked.get("stream"):
                writer.write(HEAD % (b"application/json", len(ANSWER)) + ANSWER)
                await writer.drain()
                continue
            writer.write(STREAM + FIRST)
            await writer.drain()
            said = str(asked["messages"][-1]["content"])
            if "stall" in said:
                await reader.read()
            for _ in range(SLOW_PIECES if "slow" in said else 0):
                await asyncio.sleep(SLOW_SECONDS / SLOW_PIECES)
                writer.write(FIRST)
            writer.write(REST + END)
            await writer.drain()
            break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Listen on a free port of loopback until the end."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"provider http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
