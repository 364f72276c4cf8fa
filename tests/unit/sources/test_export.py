"""Exports: found in the output, passed on unchanged, and decoded only as far as needed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import Account, Collected, UsageCounts
from licsync_daemon.sources.export import collected_from, read_export
from licsync_daemon.state.spool import AccountSpool

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
INSTANCE = {"server_id": "1f6a-22", "host_name": "ghes-emea.example.com", "version": "3.19.2", "features": [{"name": "license_usage_sync"}]}
# Spelled oddly on purpose: nothing of it may change on the way.
OPAQUE = b'{ "instance":\t{"server_id": "1f6a-22", "host_name":"ghes-emea.example.com",\r\n"version": "3.19.2"},"users" : "QUJD\\u0041{=}" , "n":1.50, "\xc3\xbc":"\xc5\xbc" }'


def read(data: bytes) -> tuple[Any, list[Any]]:
    return read_export(data, "the file x", "do it again")


def refusal(data: bytes) -> str:
    with pytest.raises(RunError) as refused:
        read(data)
    assert refused.value.code is Code.EXPORT_MALFORMED
    assert refused.value.next_step == "do it again"
    return refused.value.cause


def test_row_37_the_export_is_found_and_unchanged(subtests: pytest.Subtests) -> None:
    """Text before and lines after the export are dropped; the export itself is unchanged, byte for byte."""
    for name, (before, after) in {
        "alone": (b"", b""),
        "line end": (b"", b"\n"),
        "white space": (b"", b" \t\r\n\n  "),
        "banner": (b"Welcome to GitHub Enterprise\n\n", b"\n"),
        "question": (b"Are you sure? [y/N] ", b"\n"),
        "byte order mark": (b"\xef\xbb\xbf", b"\n"),
        "not UTF-8 before it": (b"Willkommen, M\xfcller {\n", b"\n"),
        "braces before it": (b"warning: {unbalanced {{ \n", b"\n"),
        "JSON log lines before it": (b'{"level":"warn","msg":"slow"}\n{"users": 3}\n', b"\n"),
        "warning after it": (b"", b"\nwarning: 2 records skipped\nbye"),
        "many braces": (b"{" * 2000, b"\n"),
    }.items():
        with subtests.test(name):
            export, users = read(before + OPAQUE + after)

            assert export.content == OPAQUE
            assert (export.server_id, export.hostname, export.version) == ("1f6a-22", "ghes-emea.example.com", "3.19.2")
            assert (export.is_clear, export.is_empty, users) == (False, False, [])


CUT = "the file x contains no complete JSON object: it is cut off, or not JSON"
INNER = "the file x starts inside another JSON object, whose beginning is missing"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_an_export_in_another_encoding_is_named(codec: str) -> None:
    """PowerShell's `>` writes UTF-16; the bytes of an export must not be changed."""
    mark = "\ufeff" if codec == "utf-32-be" else ""
    with pytest.raises(RunError) as refused:
        read((mark + OPAQUE.decode()).encode(codec))

    assert refused.value.code is Code.EXPORT_MALFORMED
    assert "UTF-16" in refused.value.cause or "UTF-32" in refused.value.cause
    assert refused.value.next_step.endswith("do it again")


def test_what_is_no_export_is_refused(subtests: pytest.Subtests) -> None:
    """Truncated, duplicated or other content is never accepted as an export; the cause says what is wrong."""
    for data, cause in (
        (b"", "the file x is empty"),
        (b" \n", "the file x is empty"),
        (b"ghe-license: command not found\n", "the file x contains no complete JSON object"),
        (b"<html>{}</html>", "the file x has no valid `users` (a string or a list)"),
        (OPAQUE[:-1], CUT),  # the inner object is complete
        (b'{"users": "QUJD', CUT),
        (b'{"users": "QUJD"', CUT),
        (b'{"n": {"users": "QUJD"}, "x', CUT),
        (b'{"n": {"users": "QUJD"}', CUT),
        (b'{"n": [{"users": [{"id": 7}]}', CUT),
        (b'{"n": [\n{"users": "QUJD"}\n', CUT),
        (b'{"a": [{"b": ' + OPAQUE, CUT),
        (b'{"orgs": [{"users": [{"id": 7}]}\n\n{"users": "QUJD"}', CUT),
        (b'"n": {"users": "QUJD"}', INNER),
        (b'"x": 1}, "n" :\n  {"users": "QUJD"}', INNER),
        (b'[{"users": "QUJD"}', INNER),
        (b'{"a": 1}, {"users": "QUJD"}', INNER),
        (b'{"n":\n{"users": "QUJD"}\n}', "the file x has no valid `users` (a string or a list)"),
        (b'{"n":\n{"users": "QUJD"}\n, "x": {', CUT),
        (OPAQUE + OPAQUE, "the file x has data after its end"),
        (OPAQUE + b"\n" + OPAQUE, "the file x has data after its end"),
        (OPAQUE + b" and more\n", "the file x has data after its end"),
        (b'{"instance": {}}', "the file x has no valid `users` (a string or a list)"),
        (b'{"users": null}', "the file x has no valid `users` (a string or a list)"),
        (b'{"users": {"id": 1}}', "the file x has no valid `users` (a string or a list)"),
        (b'{"users": 12}', "the file x has no valid `users` (a string or a list)"),
        (b'{"users": "\xff"}', "the file x is not UTF-8 text"),
        (b'{"users": "QUJD", "x": "M\xfcller"}', "the file x is not UTF-8 text"),
        (b"{'users': 'x'}", "the file x contains no complete JSON object"),
        (b'{"a":' + b"[" * 100_000, "the file x is nested too deeply, or contains a number with thousands of digits"),
        (b'{"users": ' + b"9" * 5000 + b"}", "the file x is nested too deeply, or contains a number with thousands of digits"),
    ):
        with subtests.test(data=data, cause=cause):
            assert refusal(data) == cause


def test_a_flood_of_braces_is_given_up(subtests: pytest.Subtests) -> None:
    """Megabytes of beginnings cost about a second, not hours."""
    for name, text in {"braces": b"{", "lines": b"{\n", "strings": b'{"', "halves": b'{"a":{"b":"'}.items():
        with subtests.test(name):
            assert "the file x" in refusal(text * (4 * 1024 * 1024 // len(text)))


def test_what_it_says_of_its_instance(subtests: pytest.Subtests) -> None:
    """The names are found in any spelling; a value that is not plain text is ignored."""
    for name, (stated, expected) in {
        "documented": ({"instance": INSTANCE}, ("1f6a-22", "ghes-emea.example.com", "3.19.2")),
        "top level": (INSTANCE, ("1f6a-22", "ghes-emea.example.com", "3.19.2")),
        "in words": ({"Server ID": "1f6a-22", "Host name": "h", "VERSION": "3.14"}, ("1f6a-22", "h", "3.14")),
        "other spelling": ({"instance": {"serverId": " 1f6a-22 ", "hostname": "h"}}, ("1f6a-22", "h", None)),
        "inside first": ({"server_id": "outer", "version": "3", "instance": {"server_id": "inner"}}, ("inner", None, "3")),
        "no object": ({"instance": "text"}, (None, None, None)),
        "other types": ({"instance": None, "server_id": None, "host_name": 7, "version": ""}, (None, None, None)),
        "not to be shown": ({"server_id": "a\nb", "host_name": "x" * 256, "version": "\x1b[31m"}, (None, None, None)),
        "nothing": ({}, (None, None, None)),
    }.items():
        with subtests.test(name):
            export, _ = read(json.dumps(stated | {"users": "QUJD", "unknown": {"users": 1}}).encode())

            assert (export.server_id, export.hostname, export.version) == expected


def test_users_are_a_text_or_a_list(subtests: pytest.Subtests) -> None:
    """A string is encrypted, a list is readable; either may be empty."""
    for users, is_clear, is_empty in (
        ("QUJD", False, False),
        ("", False, True),
        (" \n", False, True),
        ([], True, True),
        ([{"id": 1}], True, False),
        ([None], True, False),
    ):
        with subtests.test(users=users, is_clear=is_clear):
            export, _ = read(json.dumps({"users": users}).encode())

            assert (export.is_clear, export.is_empty) == (is_clear, is_empty)


def collect(where: Path, users: object) -> tuple[Collected, list[Account]]:
    with AccountSpool(where) as spool:
        data = json.dumps({"users": users, "instance": INSTANCE}).encode()
        collected = collected_from(data, spool, what="the file x", again="do it again", at=NOW)
        return collected, list(spool.everyone())


def test_an_opaque_export_counts_nothing(tmp_path: Path) -> None:
    """The number of users is unknown; the date and the version are known."""
    collected, accounts = collect(tmp_path, "QUJD")

    assert collected.counts == UsageCounts(counted=False)
    assert (collected.collected_at, collected.newest_activity, collected.version) == (NOW, NOW, "3.19.2")
    assert collected.export is not None
    assert accounts == []


def test_a_readable_user_becomes_an_account(subtests: pytest.Subtests, tmp_path: Path) -> None:
    """Its number, its primary address or else the first one, and whether it is suspended, in any published spelling."""
    for user, expected in (
        (
            {"id": 7, "emails": [{"email": "a@example.com", "primary": False}, {"email": "b@example.com", "primary": True}]},
            (7, "b@example.com", False),
        ),
        ({"id": 7, "emails": [{"email": "a@example.com"}, {"email": "b@example.com"}]}, (7, "a@example.com", False)),
        ({"id": 7, "emails": ["a@example.com", "b@example.com"]}, (7, "a@example.com", False)),
        ({"id": 7, "emails": [None, "", {"email": ""}, {"email": 3}, 5, " b@example.com "]}, (7, "b@example.com", False)),
        ({"id": 7, "email": "a@example.com"}, (7, "a@example.com", False)),
        ({"id": 7, "emails": "a@example.com"}, (7, "a@example.com", False)),
        ({"id": 7, "emails": []}, (7, "", False)),
        ({"id": 7, "emails": None}, (7, "", False)),
        ({"id": "7"}, (7, "", False)),
        ({"id": 2**63 - 1}, (2**63 - 1, "", False)),
        ({"id": 7, "suspended": True}, (7, "", True)),
        ({"id": 7, "suspended": "false"}, (7, "", False)),
        ({"id": 7, "suspended": 1}, (7, "", True)),
        ({"id": 7, "suspended": None}, (7, "", False)),
    ):
        with subtests.test(user=user, expected=expected):
            collected, accounts = collect(tmp_path, [user])

            assert [(one.id, one.email, one.suspended) for one in accounts] == [expected]
            assert collected.counts == UsageCounts(
                rows=1, sent=not expected[2], suspended=expected[2], without_address=not expected[1] and not expected[2]
            )


def test_a_user_that_cannot_be_used_is_named_by_its_place(subtests: pytest.Subtests, tmp_path: Path) -> None:
    """It is counted and identified without its content."""
    for user, why in (
        ("mona@example.com", "user 1 (id empty): not an object"),
        ({}, "user 1 (id empty): the id is not a positive number"),
        ({"id": 0}, "user 1 (id 0): the id is not a positive number"),
        ({"id": 1.0}, "user 1 (id 1.0): the id is not a positive number"),
        ({"id": True}, "user 1 (id True): the id is not a positive number"),
        ({"id": 7, "suspended": "perhaps"}, "user 1 (id 7): the suspended flag is neither true nor false"),
        ({"id": 7, "emails": ["\ud800@example.com"]}, "user 1 (id 7): a cell is not valid UTF-8"),
    ):
        with subtests.test(user=user, why=why):
            collected, accounts = collect(tmp_path, [user])

            assert (collected.counts, accounts) == (UsageCounts(rows=1, unusable=1), [])
            assert [notice.text for notice in collected.notices] == [f"1 unusable: {why}"]


def test_a_repeated_key_is_refused(subtests: pytest.Subtests) -> None:
    """Readers understand it differently: what was checked here may not be what the cloud reads."""
    for name, (text, words) in {
        "the server id": ('{"users": "QUJD", "server_id": "a", "server_id": "b"}', "has an object with the key `server_id` twice"),
        "the users": ('{"users": "QUJD", "users": "REVG"}', "has an object with the key `users` twice"),
        "with equal values": ('{"users": "QUJD", "users": "QUJD"}', "has an object with the key `users` twice"),
        "of the instance": ('{"users": "QUJD", "instance": {"server_id": "a", "server_id": "b"}}', "the key `server_id` twice"),
        "of a user": ('{"users": [{"id": 1, "id": 2}]}', "the key `id` twice"),
        "an unknown one": ('{"users": "QUJD", "x\\u001b": 1, "x\\u001b": 2}', "the key `x` twice"),
        "in two spellings": ('{"users": "QUJD", "server_id": "a", "Server ID": "b"}', "`Server ID` twice, in different spellings"),
        "in two spellings inside": ('{"users": "QUJD", "instance": {"hostName": "a", "host_name": "b"}}', "in different spellings"),
    }.items():
        with subtests.test(name), pytest.raises(RunError) as refused:
            read(text.encode())
        assert refused.value.code is Code.EXPORT_MALFORMED
        assert words in refused.value.cause
    assert read(b'{"users": "QUJD", "server_id": "a", "serverId": "a", "x": 1, "X": 2}')[0].server_id == "a"
