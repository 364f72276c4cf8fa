"""The delivery endpoint implements `docs/delivery-openapi.yaml`."""

import gzip
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest

from licsync_daemon.practice.sandbox import Processing

KEY = "0123456789abcdef"


@pytest.fixture
def emea(box):
    return box.instances["emea"]


@pytest.fixture
def check(delivery_contract):
    """Check a response against the contract, and return it."""

    def check(reply, method="post"):
        path = "/" if method == "post" else "/{upload_id}"
        assert delivery_contract.errors(path, reply.json(), str(reply.status_code), method) == []
        assert reply.headers["content-type"].partition(";")[0] == (
            "application/json" if reply.status_code < 300 else "application/problem+json"
        )
        return reply

    return check


def test_the_contract_is_a_valid_description(delivery_contract):
    schemas = delivery_contract.document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(delivery_contract.document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        delivery_contract.resolve({"$ref": reference})


def test_the_example_of_the_contract_is_accepted(box, ask, check, delivery_contract):
    example = delivery_contract.document["components"]["examples"]["UsageDocument"]["value"]

    reply = check(ask.deliver(box, example))

    assert reply.status_code == 202
    assert box.cloud.holdings(example["instance"]["server_id"]) == example["users"]


def test_a_document_is_accepted_and_processed_later(make_box, ask, check, document_of):
    box = make_box(processing_delay=60)
    emea = box.instances["emea"]

    reply = check(ask.deliver(box, document_of(emea)))
    upload_id = reply.json()["upload_id"]

    assert (reply.status_code, reply.json()["sync_state"]) == (202, "PENDING")
    assert check(ask.upload(box, upload_id), "get").json() == {"upload_id": upload_id, "sync_state": "PENDING", "error": ""}
    assert box.cloud.holdings(emea.server_id) == []
    assert box.cloud.sync_status() == {"server_instances": []}
    box.clock.advance(61)
    assert check(ask.upload(box, upload_id), "get").json() == {"upload_id": upload_id, "sync_state": "SUCCESS", "error": ""}
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()


def test_the_same_key_and_usage_return_the_first_upload(box, emea, ask, check, document_of):
    first = ask.deliver(box, document_of(emea), Idempotency_Key=KEY)
    second = check(ask.deliver(box, {**document_of(emea), "collected_at": "2026-12-01T02:00:00Z"}, Idempotency_Key=KEY))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["upload_id"] == second.json()["upload_id"]
    assert len(box.cloud.uploads()) == 1


def test_the_same_key_with_other_usage_is_refused(box, emea, ask, check, document_of):
    ask.deliver(box, document_of(emea), Idempotency_Key=KEY)
    reply = check(ask.deliver(box, document_of(emea, users=[]), Idempotency_Key=KEY))

    assert reply.status_code == 409
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()


def test_simultaneous_requests_with_one_key_are_one_upload(box, emea, ask, document_of):
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: ask.deliver(box, document_of(emea), Idempotency_Key=KEY), range(8)))

    assert len({reply.json()["upload_id"] for reply in replies}) == 1
    assert len(box.cloud.uploads()) == 1


@pytest.mark.parametrize(
    "headers", [{"Content_Encoding": "identity"}, {"Content_Encoding": None}, {"Content_Type": "application/json; charset=utf-8"}]
)
def test_other_accepted_headers(box, emea, http, ask, document_of, headers):
    if headers.get("Content_Encoding", "") is None:  # no header at all means identity
        given = ask.deliver(box, document_of(emea), Content_Encoding="identity").request
        del given.headers["Content-Encoding"]
        assert http.send(given).status_code == 202
    else:
        assert ask.deliver(box, document_of(emea), **headers).status_code == 202


def test_a_chunked_body_is_accepted(box, emea, http, ask, document_of):
    given = ask.deliver(box, document_of(emea)).request
    headers = {name: value for name, value in given.headers.items() if name != "content-length"}

    reply = http.post(box.delivery_url, headers=headers, content=iter([given.content[:10], given.content[10:]]))

    assert reply.status_code == 202


@pytest.mark.parametrize(
    ("headers", "status", "detail"),
    [
        ({"Authorization": None}, 401, "token"),
        ({"Authorization": "Bearer wrong"}, 401, "token"),
        ({"Idempotency_Key": None}, 422, "Idempotency-Key"),
        ({"Idempotency_Key": "short"}, 422, "Idempotency-Key"),
        ({"Idempotency_Key": "x" * 65}, 422, "Idempotency-Key"),
        ({"Idempotency_Key": "under_score_0123456789"}, 422, "Idempotency-Key"),
        ({"Licsync_Content_Hash": None}, 422, "Licsync-Content-Hash"),
        ({"Licsync_Content_Hash": "sha256:0"}, 422, "Licsync-Content-Hash"),
        ({"Licsync_Content_Hash": "sha256:" + "0" * 64}, 422, "does not match"),
        ({"Content_Type": "text/plain"}, 415, "application/json"),
        ({"Content_Type": "application/vnd.licsync.export+json"}, 422, "does not match"),
        ({"Content_Encoding": "br"}, 415, "gzip and identity"),
    ],
)
def test_invalid_headers_are_refused(box, emea, ask, check, document_of, headers, status, detail):
    reply = check(ask.deliver(box, document_of(emea), **headers))

    assert (status, status) == (reply.status_code, reply.json()["status"])
    assert detail in reply.json()["detail"]
    assert box.cloud.uploads() == []


def deliver_export(box, http, content, *, key=KEY, hashed=None):
    headers = {
        "Authorization": f"Bearer {box.delivery_token}",
        "Content-Type": "application/vnd.licsync.export+json",
        "Content-Encoding": "gzip",
        "Idempotency-Key": key,
        "Licsync-Content-Hash": f"sha256:{hashlib.sha256(hashed or content).hexdigest()}",
    }
    return http.post(box.delivery_url, headers=headers, content=gzip.compress(content))


@pytest.mark.parametrize("clear", [False, True])
def test_an_unchanged_export_is_accepted(box, emea, http, check, delivery_contract, clear):
    export = box.export("emea", clear=clear)
    schema = delivery_contract.document["components"]["schemas"]["Export"]
    jsonschema.validate(export, schema)
    content = json.dumps(export, indent=1).encode()

    first, again = (check(deliver_export(box, http, content)) for _ in range(2))

    assert (first.status_code, again.json()) == (202, first.json())
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()
    assert check(deliver_export(box, http, content + b" ")).status_code == 409


@pytest.mark.parametrize(
    ("content", "hashed", "detail"),
    [
        (b'{"users": "QUJD"}', None, "not from a server of this enterprise"),
        (b"[]", None, "not a JSON object"),
        (b"{", None, "not JSON"),
        (None, b"{}", "does not match"),
    ],
    ids=["unknown server", "not an object", "not JSON", "another hash"],
)
def test_an_invalid_export_is_refused(box, emea, http, check, content, hashed, detail):
    content = content or json.dumps(box.export("emea")).encode()

    reply = check(deliver_export(box, http, content, hashed=hashed))

    assert (reply.status_code, detail in reply.json()["detail"]) == (422, True)
    assert box.cloud.uploads() == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body[: len(body) // 2], id="cut gzip"),
        pytest.param(lambda body: body + b"more", id="more after the gzip stream"),
        pytest.param(lambda _: b"{}", id="not gzip"),
        pytest.param(lambda _: gzip.compress(b"<html>"), id="not JSON"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_an_invalid_body_is_refused(box, emea, http, ask, check, document_of, spoil):
    given = ask.deliver(box, document_of(emea)).request
    headers = {name: value for name, value in given.headers.items() if name != "content-length"}

    assert check(http.post(box.delivery_url, headers=headers, content=spoil(given.content))).status_code == 422


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_document_over_the_limit_is_refused(make_box, ask, check, document_of, encoding):
    box = make_box(max_decoded_bytes=1000)

    assert check(ask.deliver(box, document_of(box.instances["emea"]), Content_Encoding=encoding)).status_code == 413


def test_a_body_too_large_to_read_gets_a_whole_response(make_box, ask, check, document_of):
    box = make_box(max_decoded_bytes=2**20)
    users = [{"id": n, "emails": [{"email": f"person-{n}@example.com", "primary": True}]} for n in range(60_000)]

    assert check(ask.deliver(box, document_of(box.instances["emea"], users), Content_Encoding="identity")).status_code == 413


def test_an_unknown_upload_is_not_found(box, ask, check):
    assert check(ask.upload(box, "nothing"), "get").status_code == 404


def test_a_failed_upload_changes_no_usage(box, emea, ask, check, document_of):
    ask.deliver(box, document_of(emea))
    box.cloud.processing = Processing(mode="failure", delay_s=0)

    upload_id = ask.deliver(box, document_of(emea, users=[])).json()["upload_id"]

    answer = check(ask.upload(box, upload_id), "get").json()
    assert answer["sync_state"] == "FAILURE"
    assert answer["error"]
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()
    (row,) = box.cloud.sync_status()["server_instances"]
    assert row["last_sync"]["status"] == "failure"
    assert row["last_sync"]["error"] == answer["error"]


def test_the_sandbox_accepts_exactly_the_documents_that_the_contract_allows(box, emea, ask, delivery_contract, document_of):
    """The contract's schema and the sandbox agree on every single change of a document."""
    validator = delivery_contract.validator({"$ref": "#/components/schemas/UsageDocument"})
    base = document_of(emea, users=[{"id": 1, "emails": [{"email": "a@x", "primary": True}]}])
    for document in _changes(base):
        accepted = ask.deliver(box, document).status_code == 202
        assert accepted == validator.is_valid(document), document


def _changes(base):
    """Yield the document unchanged, with each value replaced or removed, and with one more field in each object."""
    yield base
    for path in _paths(base):
        for value in (None, "", "text", -1, 0, 1, True, [], {}, ...):
            document = json.loads(json.dumps(base))
            place = document
            for step in path[:-1]:
                place = place[step]
            if value is ...:
                place[path[-1]] = None
                del place[path[-1]]
            else:
                place[path[-1]] = value
            yield document


def _paths(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield (*path, "extra")
    for key, entry in items:
        yield (*path, key)
        yield from _paths(entry, (*path, key))
