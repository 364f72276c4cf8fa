"""Exactly what leaves the machine, and its hash."""

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.usage import ServerIdentity, UsageCounts
from tests.documents import content, hash_by_hand
from tests.fakes import T0, a_document, an_account


def test_the_document_is_exactly_this(tmp_path: Path) -> None:
    """Number and address of every active account, ordered by id, beside what the instance is; nothing else."""
    accounts = [an_account(10), an_account(2, email=""), an_account(3, suspended=True)]
    found, _ = content(tmp_path, accounts)
    assert found == {
        "format": "licsync/1",
        "collected_at": "2026-11-24T02:00:00Z",
        "instance": {"server_id": "server-emea", "host_name": "ghes-emea.example.com", "version": "3.19.2", "http_only": False},
        "totals": {"accounts": 2, "seats_used": 3},
        "users": [{"id": 2, "emails": []}, {"id": 10, "emails": [{"email": "user10@example.com", "primary": True}]}],
    }


def test_nothing_else_about_a_person_leaves(tmp_path: Path) -> None:
    """Logins and suspended accounts are nowhere in the bytes."""
    with a_document(tmp_path, [an_account(1, login="monalisa"), an_account(2, email="gone@example.com", suspended=True)]) as document:
        text = b"".join(document.plain())
    assert b"monalisa" not in text
    assert b"gone@" not in text


def test_an_unknown_version_and_count_stay_open(tmp_path: Path) -> None:
    """What the instance did not say is null."""
    found, _ = content(tmp_path, [an_account()], version=None, counts=UsageCounts(rows=1, sent=1), http_only=True)
    assert (found["instance"]["version"], found["totals"]["seats_used"], found["instance"]["http_only"]) == (None, None, True)


def test_no_accounts_make_a_whole_document(tmp_path: Path) -> None:
    """Even an empty list is valid JSON with a hash of its own."""
    found, content_hash = content(tmp_path, [])
    assert found["users"] == []
    assert content_hash == hash_by_hand(found)


BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    "change",
    [
        {"collected_at": T0 + timedelta(days=9)},
        {"collected_at": T0.astimezone(BERLIN)},
        {"version": "3.20.0"},
        {"http_only": True},
        {"counts": UsageCounts(rows=99, sent=99, seats_used=1)},
    ],
    ids=["time", "zone", "version", "http", "totals"],
)
def test_equal_usage_has_an_equal_hash(tmp_path: Path, change: dict[str, Any]) -> None:
    """Only who it is and whom it holds goes into the hash."""
    accounts = [an_account(1), an_account(2)]
    assert content(tmp_path, accounts, **change)[1] == content(tmp_path, list(reversed(accounts)))[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda directory: content(directory, [an_account(1)])[1],
        lambda directory: content(directory, [an_account(1), an_account(3)])[1],
        lambda directory: content(directory, [an_account(1), an_account(2, email="x@example.com")])[1],
        lambda directory: content(directory, [an_account(1), an_account(2, email="USER2@example.com")])[1],
        lambda directory: content(directory, [an_account(1), an_account(2, email="")])[1],
        lambda directory: content(
            directory, [an_account(1), an_account(2)], identity=ServerIdentity(hostname="other", server_id="server-emea")
        )[1],
        lambda directory: content(
            directory, [an_account(1), an_account(2)], identity=ServerIdentity(hostname="ghes-emea.example.com", server_id="x")
        )[1],
    ],
    ids=["one fewer", "another id", "another address", "another case", "no address", "another host", "another server"],
)
def test_other_usage_has_another_hash(tmp_path: Path, make: Callable[[Path], str]) -> None:
    """A single changed account or identity changes the hash."""
    assert make(tmp_path) != content(tmp_path, [an_account(1), an_account(2)])[1]


def test_times_are_utc_and_whole_seconds(tmp_path: Path) -> None:
    """The time of collecting is written in UTC whatever zone it came in."""
    found, _ = content(tmp_path, [], collected_at=datetime(2026, 11, 24, 3, 0, 0, 999_999, tzinfo=BERLIN))
    assert found["collected_at"] == "2026-11-24T02:00:00Z"
    assert datetime.fromisoformat(found["collected_at"]).tzinfo == UTC


def test_sizes_and_counts_are_true(tmp_path: Path) -> None:
    """The document knows how many accounts it holds and how many bytes go over the wire; it can be read again and again."""

    async def sent() -> bytes:
        return b"".join([piece async for piece in document.pieces()])

    with a_document(tmp_path, [an_account(number) for number in range(1, 2002)]) as document:
        first, second = asyncio.run(sent()), asyncio.run(sent())
        assert first == second
        assert len(first) == document.size_bytes
        assert gzip.decompress(first) == b"".join(document.plain())
        assert document.sent == 2001 == len(json.loads(gzip.decompress(first))["users"])
        assert re.fullmatch("sha256:[0-9a-f]{64}", document.content_hash)
        assert list(tmp_path.iterdir()) == []


def test_the_same_document_is_the_same_bytes(tmp_path: Path) -> None:
    """No time of packing hides in the compressed bytes."""

    def packed() -> bytes:
        async def read() -> bytes:
            return b"".join([piece async for piece in document.pieces()])

        with a_document(tmp_path, [an_account(1)]) as document:
            return asyncio.run(read())

    assert packed() == packed()


def test_a_missing_directory_is_our_error(tmp_path: Path) -> None:
    """Where no file can be made, the error says so in our words."""
    with pytest.raises(StateUnwritableError, match="cannot write the usage document"):
        a_document(tmp_path, [], directory=tmp_path / "nowhere")
