"""Usage documents: accepted if they fit the contract, otherwise refused with the field."""

import hashlib
import json

import pytest

from licsync_daemon.practice.sandbox.document import DocumentError, read_document

GOOD = {
    "format": "licsync/1",
    "collected_at": "2026-11-24T02:00:00Z",
    "instance": {"server_id": "s-1", "host_name": "ghes.example.com", "version": "3.19.2", "http_only": False},
    "totals": {"accounts": 2, "seats_used": 2},
    "users": [{"id": 1, "emails": []}, {"id": 2**63, "emails": [{"email": "jörg@bücher.example", "primary": True}]}],
}


def changed(path, value):
    document = json.loads(json.dumps(GOOD))
    *way, last = path
    place = document
    for step in way:
        place = place[step]
    place[last] = value
    return document


def test_the_hash_is_that_of_the_canonical_text():
    text = (
        '{"host_name":"ghes.example.com","server_id":"s-1","users":[{"emails":[],"id":1},'
        '{"emails":[{"email":"jörg@bücher.example","primary":true}],"id":9223372036854775808}]}'
    )

    document = read_document(json.dumps(GOOD).encode())

    assert document.content_hash == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert (document.server_id, document.host_name, document.users) == ("s-1", "ghes.example.com", GOOD["users"])


def test_only_usage_changes_the_hash():
    others = [(["collected_at"], "2030-01-01T00:00:00Z"), (["totals", "seats_used"], None), (["instance", "version"], None)]

    hashes = {read_document(json.dumps(value).encode()).content_hash for value in (GOOD, *(changed(*other) for other in others))}

    assert len(hashes) == 1


def test_the_field_is_named(subtests):
    for path, value, cause in (
        (["format"], "licsync/2", "format is not 'licsync/1'"),
        (["collected_at"], "2026-11-24T02:00:00.5Z", "collected_at is not a UTC time"),
        (["secret"], 1, "the document: unknown field 'secret'"),
        (["instance", "login"], "x", "instance: unknown field 'login'"),
        (["instance", "server_id"], "", "instance.server_id is empty, or not a string"),
        (["totals", "accounts"], -1, "totals.accounts is not an integer"),
        (["totals", "accounts"], True, "totals.accounts is not an integer"),
        (["totals"], {}, "totals: field 'accounts' is missing"),
        (["users"], {}, "users is not a list"),
        (["users", 0, "login"], "mona", "users[0]: unknown field 'login'"),
        (["users", 0, "id"], "1", "users[0].id is not an integer"),
        (["users", 1, "id"], 1, "users[1]: ids are not in ascending order"),
        (["users", 1, "emails", 0, "primary"], "yes", "users[1].emails[0].primary is neither true nor false"),
        (["users", 1, "emails", 0, "email"], "", "users[1].emails[0].email is empty, or not a string"),
        (["users", 1, "emails", 0, "email"], "\ud800@x", "users: not valid Unicode"),
    ):
        with subtests.test(cause):
            with pytest.raises(DocumentError) as caught:
                read_document(json.dumps(changed(path, value)).encode())
            assert cause in str(caught.value)


def test_other_content_is_refused(subtests):
    for content in (b"", b"{", b"[]", b"\xff", b'{"format": NaN}', b"[" * 100_000):
        with subtests.test(content[:10]), pytest.raises(DocumentError):
            read_document(content)
