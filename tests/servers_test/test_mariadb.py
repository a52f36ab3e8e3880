"""The private MariaDB."""

from __future__ import annotations

import contextlib

import pymysql
import pytest
from sqlalchemy import make_url

from tests.servers.mariadb import MariaDB, connect, fresh_database
from tests.servers.private import ServerUnavailable


def test_committed_rows_survive_a_kill(private_mariadb: MariaDB) -> None:
    """What was committed before SIGKILL is there after the next start, at the same address."""
    url = private_mariadb.url
    with fresh_database(url) as database:
        query(database, "CREATE TABLE words (word VARCHAR(9))")
        query(database, "INSERT INTO words VALUES ('kept')")
        private_mariadb.kill()
        with pytest.raises(pymysql.err.OperationalError):
            connect(database)
        private_mariadb.start()
        assert private_mariadb.url == url
        assert query(database, "SELECT word FROM words") == (("kept",),)


def test_a_stopped_server_starts_again(private_mariadb: MariaDB) -> None:
    """After SIGTERM it ends, and starts again with its databases."""
    with fresh_database(private_mariadb.url) as database:
        private_mariadb.stop()
        assert not private_mariadb.answers()
        private_mariadb.start()
        assert query(database, "SELECT 1") == ((1,),)


def test_a_paused_server_hangs(private_mariadb: MariaDB) -> None:
    """A paused server neither answers nor refuses, and goes on when it is resumed."""
    with contextlib.closing(connect(private_mariadb.url)) as connection:
        connection._read_timeout = 0.2
        private_mariadb.pause()
        with pytest.raises(pymysql.err.OperationalError, match="timed out"):
            connection.cursor().execute("SELECT 1")
    private_mariadb.resume()
    assert query(private_mariadb.url, "SELECT 1") == ((1,),)


def test_closing_leaves_nothing(private_mariadb: MariaDB) -> None:
    """Its folder goes with it."""
    private_mariadb.close()
    assert not private_mariadb.folder.exists()
    assert not private_mariadb.answers()


def test_defaults_help_nobody(private_mariadb: MariaDB) -> None:
    """Character set, SQL mode and time zone are not those that the service needs."""
    with fresh_database(private_mariadb.url) as database:
        rows = query(database, "SELECT @@character_set_database, @@sql_mode, @@time_zone")
    assert rows == (("latin1", "", "+08:00"),)


def test_a_fresh_database_is_empty_and_goes(mysql_server_url: str) -> None:
    """Two fresh databases are two, and are dropped at the end."""
    with fresh_database(mysql_server_url) as one, fresh_database(mysql_server_url) as other:
        names = {make_url(one).database, make_url(other).database}
        assert query(one, "SHOW TABLES") == ()
    left = {name for (name,) in query(mysql_server_url, "SHOW DATABASES")}
    assert len(names) == 2
    assert not names & left


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MariaDB the reason says what to install."""
    monkeypatch.setattr(MariaDB, "program", "no-such-mariadbd")
    with pytest.raises(ServerUnavailable, match="apt-get install mariadb-server"):
        MariaDB()


def test_a_failed_start_quotes_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server dies at its start, the reason is in the error, and no folder is left."""
    folders = []
    monkeypatch.setattr(MariaDB, "prepare", lambda server: folders.append(server.folder))
    with pytest.raises(ServerUnavailable, match=r"did not start: (.|\n)*data"):
        MariaDB()
    assert not folders[0].exists()


def query(url: str, statement: str) -> tuple[tuple[object, ...], ...]:
    """The rows of a statement, on a connection of its own."""
    with contextlib.closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()
