"""The delivery `http` over a real server on loopback: safe to repeat, and tolerant of its responses."""

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.deliveries.http import HttpUpload
from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination
from licsync_daemon.model.usage import Upload, UploadState
from tests.contract.loopback import Seen, Server, answer, serving
from tests.fakes import FakeClock, Waits, a_document, an_account

UNSAFE_IDS = (".", "..", "../u", "a/b", "a%2fb", "a b", "\0", "\u202e", "a?b", "a#b", "a\n", "\u00e9")
ACCEPTED = answer(202, b'{"upload_id": "u-1", "sync_state": "PENDING"}')


def done(act: Callable[[HttpUpload], Any], script: Callable[[Server], None]) -> tuple[Any, list[Seen]]:
    async def main() -> tuple[Any, list[Seen]]:
        async with serving() as server:
            script(server)
            to = Destination(url=f"{server.url}/uploads")
            async with HttpClient(to=to, side=Side.DELIVERY, authorization=lambda: "Bearer secret") as client:
                try:
                    found = await act(HttpUpload(client, Retrier(FakeClock(), Waits())))
                except RemoteError as error:
                    found = error
            return found, server.seen

    return asyncio.run(main())


def send(directory: Path, *answers: bytes) -> tuple[Any, list[Seen], str]:
    with a_document(directory, [an_account(1), an_account(2)]) as document:
        found, seen = done(lambda upload: upload.send(document, "key-1"), lambda server: server.on("/uploads", *answers))
        return found, seen, document.content_hash


def test_an_upload_is_exactly_the_document(tmp_path: Path) -> None:
    """The compressed document goes out with its key, its hash and its length."""
    found, (seen,), content_hash = send(tmp_path, ACCEPTED)
    assert found == "u-1"
    assert seen.method == "POST"
    assert seen.headers["idempotency-key"] == "key-1"
    assert seen.headers["licsync-content-hash"] == content_hash
    assert (seen.headers["content-type"], seen.headers["content-encoding"]) == ("application/json", "gzip")
    assert [user["id"] for user in json.loads(gzip.decompress(seen.body))["users"]] == [1, 2]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_relay_that_returns_200_or_201_with_an_id_has_accepted(tmp_path: Path, status: int) -> None:
    """Relays built with general tools do not return the contract's 202."""
    found, seen, _ = send(tmp_path, answer(status, b'{"upload_id": "u-1"}'))
    assert (found, len(seen)) == ("u-1", 1)


def test_an_upload_is_repeated_whole_under_its_key(tmp_path: Path) -> None:
    """After a failure the same bytes are sent again under the same key."""
    found, seen, _ = send(tmp_path, answer(503), answer(429, retry_after="1"), ACCEPTED)
    assert found == "u-1"
    assert len(seen) == 3
    assert len({(one.headers["idempotency-key"], one.headers["licsync-content-hash"], one.body) for one in seen}) == 1


@pytest.mark.parametrize(
    ("reply", "code", "transient", "requests"),
    [
        (answer(413), Code.UPLOAD_TOO_LARGE, False, 1),
        (answer(422, b'{"title": "bad", "detail": "users[3]"}'), Code.UPLOAD_REFUSED, False, 1),
        (answer(409), Code.UPLOAD_CONFLICT, False, 1),
        (answer(401), Code.UNAUTHORIZED, False, 1),
        (answer(503), Code.SERVER_ERROR, True, 5),
        (answer(202, b"{}"), Code.BAD_RESPONSE, True, 5),
        (answer(202, b'{"upload_id": ""}'), Code.BAD_RESPONSE, True, 5),
        (answer(202, b'{"upload_id": 7}'), Code.BAD_RESPONSE, True, 5),
        (answer(202, b"[]"), Code.BAD_RESPONSE, True, 5),
        (answer(200, b"{}"), Code.BAD_RESPONSE, False, 1),
        (answer(201, b'{"id": "u-1"}'), Code.BAD_RESPONSE, False, 1),
        (answer(200, b"<!DOCTYPE html><html>Sign in</html>"), Code.BAD_RESPONSE, False, 1),
        (answer(200, b'{"upload_id": "u-1", "error": "no"}'), Code.UPLOAD_FAILED, False, 1),
        (answer(204), Code.REJECTED, False, 1),
    ],
    ids=["413", "422", "409", "401", "503", "no id", "empty id", "number", "list", "200", "201", "a page", "an error", "204"],
)
def test_refused_uploads(tmp_path: Path, reply: bytes, code: Code, transient: bool, requests: int) -> None:
    """A permanent refusal is not repeated; an acceptance without a usable id is."""
    found, seen, _ = send(tmp_path, reply)
    assert isinstance(found, RemoteError)
    assert (found.code, found.transient, len(seen)) == (code, transient, requests)


@pytest.mark.parametrize(
    ("reply", "upload"),
    [
        (answer(body=b'{"sync_state": "PENDING"}'), Upload(state=UploadState.PENDING)),
        (answer(body=b'{"sync_state": "SUCCESS", "error": null}'), Upload(state=UploadState.SUCCESS)),
        (
            answer(body=b'{"sync_state": "FAILURE", "error": "row\\n7 of mona@example.com"}'),
            Upload(state=UploadState.FAILURE, error="row 7 of [address]"),
        ),
        (answer(body=b'{"sync_state": "success"}'), Upload(state=UploadState.PENDING, said='"success"')),
        (answer(body=b'{"sync_state": "THINKING", "error": 7}'), Upload(state=UploadState.FAILURE, error="7", said='"THINKING"')),
        (answer(body=b'{"sync_state": ["SUCCESS"]}'), Upload(state=UploadState.PENDING, said='["SUCCESS"]')),
        (answer(body=b"{}"), Upload(state=UploadState.PENDING, said="none")),
        (answer(body=b"[]"), Upload(state=UploadState.PENDING, said="none")),
        (answer(404), Upload(state=None)),
    ],
    ids=["pending", "success", "failure", "other case", "unknown", "list", "nothing", "no object", "404"],
)
def test_what_became_of_an_upload(reply: bytes, upload: Upload) -> None:
    """The three published states are read; anything else is pending and quoted; only a 404 counts as no state."""
    found, _ = done(lambda delivery: delivery.ask("u-1"), lambda server: server.on("/uploads/u-1", reply))
    assert found == upload


def test_an_id_is_one_part_of_the_path() -> None:
    """An endpoint's id with slashes or dots does not lead elsewhere."""
    _, (seen,) = done(lambda delivery: delivery.ask("../a b?c"), lambda server: None)
    assert seen.target == "/uploads/..%2Fa%20b%3Fc"


@pytest.mark.parametrize(("status", "code"), [(401, Code.UNAUTHORIZED), (500, Code.SERVER_ERROR)])
def test_other_refusals_are_errors(status: int, code: Code) -> None:
    """A refused request says nothing about the upload."""
    found, _ = done(lambda delivery: delivery.ask("u-1"), lambda server: server.on("/uploads/u-1", answer(status)))
    assert isinstance(found, RemoteError)
    assert found.code is code


@pytest.mark.parametrize(
    "body",
    [
        b'{"upload_id": "u-1", "sync_state": "FAILURE"}',
        b'{"upload_id": "u-1", "sync_state": "rejected"}',
        b'{"sync_state": "FAILED"}',
        b'{"upload_id": "u-1", "error": {"code": 7}}',
        b'{"upload_id": "u-1", "sync_state": "SUCCESS", "errors": ["row 7"]}',
    ],
)
def test_a_202_that_reports_a_failure_is_a_failure(tmp_path: Path, body: bytes) -> None:
    """The upload failed, whatever the status code; the next run sends it again."""
    found, seen, _ = send(tmp_path, answer(202, body))
    assert isinstance(found, RemoteError)
    assert (found.code, found.transient, len(seen)) == (Code.UPLOAD_FAILED, False, 1)


@pytest.mark.parametrize(
    "body",
    {
        "a page": b"<html>accepted</html>",
        "no id": b"{}",
        "an empty id": b'{"upload_id": ""}',
        "a number": b'{"upload_id": 7}',
        "too long": b'{"upload_id": "' + b"x" * 129 + b'"}',
        **{f"the id {one}": json.dumps({"upload_id": one}).encode() for one in UNSAFE_IDS},
    }.values(),
    ids=ascii,
)
def test_an_accepted_upload_is_never_taken_for_refused(tmp_path: Path, body: bytes) -> None:
    """A 202 means accepted, whatever its body: the delivery stays open and is sent again under its key."""
    found, seen, _ = send(tmp_path, answer(202, body))
    assert isinstance(found, RemoteError)
    assert (found.code, found.transient) == (Code.BAD_RESPONSE, True)
    assert len({request.headers["idempotency-key"] for request in seen}) == 1
