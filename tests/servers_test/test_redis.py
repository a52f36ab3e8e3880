"""The private Redis."""

from __future__ import annotations

import contextlib

import pytest
import redis

from tests.servers.redis import Redis


def test_it_is_a_cache(private_redis: Redis) -> None:
    """It keeps what it's given, and forgets it with a restart."""
    with contextlib.closing(redis.Redis.from_url(private_redis.url)) as client:
        client.set("word", "kept")
        assert client.get("word") == b"kept"
        private_redis.stop()
        with pytest.raises(redis.ConnectionError):
            client.get("word")
        private_redis.start()
        assert client.get("word") is None


def test_the_session_has_one(redis_url: str) -> None:
    """The worker's own Redis answers."""
    with contextlib.closing(redis.Redis.from_url(redis_url)) as client:
        assert client.ping()
