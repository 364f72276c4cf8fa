"""The delivery `http` sends and accepts what `docs/delivery-openapi.yaml` specifies."""

import asyncio
import gzip
import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from licsync_daemon.deliveries.http import HttpUpload
from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.instance import Destination
from licsync_daemon.model.usage import ServerIdentity, Upload, UploadState, UsageCounts
from licsync_daemon.state.document import wrap_export
from tests.contract.loopback import Seen, answer, serving
from tests.contract.published import Published
from tests.fakes import T0, FakeClock, Waits, a_document, an_account

CONTRACT = Published(yaml.safe_load((Path(__file__).parents[2] / "docs" / "delivery-openapi.yaml").read_text()), strict=False)
POST = CONTRACT.document["paths"]["/"]["post"]
ODD = [an_account(1, email='"quoted \\ part"@example.com'), an_account(2**53 + 1, email="jürgen@bücher.example"), an_account(7, email="")]


def exchange(directory: Path, *answers: bytes) -> tuple[Upload, list[Seen], str]:
    """Send a document and request its state."""

    async def main() -> tuple[Upload, list[Seen], str]:
        async with serving() as server:
            server.on("/uploads", answers[0])
            server.on("/uploads/u-1", answers[1])
            client = HttpClient(to=Destination(url=f"{server.url}/uploads"), side=Side.DELIVERY, authorization=lambda: "Bearer secret")
            async with client:
                delivery = HttpUpload(client, Retrier(FakeClock(), Waits()))
                with a_document(directory, ODD) as document:
                    upload_id = await delivery.send(document, "0b5d2c4e8a114f0e9f0c3f0a5b8f6f41")
                    return await delivery.ask(upload_id), server.seen, document.content_hash

    return asyncio.run(main())


def as_json(value: object, status: int) -> bytes:
    return answer(status, json.dumps(value).encode())


def test_every_request_keeps_the_contract(tmp_path: Path) -> None:
    """Headers and body of an upload satisfy their schemas; the body holds no field that the contract does not name."""
    accepted = {"upload_id": "u-1", "sync_state": "PENDING"}

    _, (sent, asked), _ = exchange(tmp_path, as_json(accepted, 202), as_json({**accepted, "error": ""}, 200))

    headers = {parameter["name"].lower(): parameter for parameter in POST["parameters"] if parameter["in"] == "header"}
    for name, parameter in headers.items():
        assert not parameter["required"] or name in sent.headers
        CONTRACT.validator(parameter["schema"]).validate(sent.headers.get(name, "gzip"))
    CONTRACT.validator(POST["requestBody"]["content"][sent.headers["content-type"]]["schema"]).validate(
        json.loads(gzip.decompress(sent.body))
    )
    assert (asked.method, asked.target) == ("GET", "/uploads/u-1")


def test_the_hash_is_the_one_the_contract_describes(tmp_path: Path) -> None:
    """An endpoint that computes the hash as the contract says gets the one in the header, odd addresses included."""
    accepted = {"upload_id": "u-1", "sync_state": "PENDING"}

    _, (sent, _), _ = exchange(tmp_path, as_json(accepted, 202), as_json({**accepted, "error": ""}, 200))

    body = json.loads(gzip.decompress(sent.body))
    hashed = {"host_name": body["instance"]["host_name"], "server_id": body["instance"]["server_id"], "users": body["users"]}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert sent.headers["licsync-content-hash"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_an_export_keeps_the_contract_too(tmp_path: Path) -> None:
    """It goes out under a media type that the contract names, byte for byte, and its hash is that of its bytes."""
    content = b'{"instance": {"server_id": "s"},\n "users": "QUJD"}'
    identity, counts = ServerIdentity(hostname="h", server_id="s"), UsageCounts(counted=False)

    async def main() -> Seen:
        async with serving() as server:
            server.on("/uploads", as_json({"upload_id": "u-1", "sync_state": "PENDING"}, 202))
            client = HttpClient(to=Destination(url=f"{server.url}/uploads"), side=Side.DELIVERY, authorization=lambda: "Bearer secret")
            with wrap_export(content, directory=tmp_path, identity=identity, collected_at=T0, counts=counts) as export:
                async with client:
                    await HttpUpload(client, Retrier(FakeClock(), Waits())).send(export, "0b5d2c4e8a114f0e9f0c3f0a5b8f6f41")
            return server.seen[0]

    sent = asyncio.run(main())
    assert gzip.decompress(sent.body) == content
    assert sent.headers["licsync-content-hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    CONTRACT.validator(POST["requestBody"]["content"][sent.headers["content-type"]]["schema"]).validate(json.loads(content))


@pytest.mark.parametrize("state", list(UploadState))
def test_every_state_of_the_contract_is_understood(tmp_path: Path, state: UploadState) -> None:
    """A response that satisfies the contract is read correctly."""
    told = {"upload_id": "u-1", "sync_state": str(state), "error": "why" if state is UploadState.FAILURE else ""}
    assert CONTRACT.errors("/{upload_id}", told) == []

    upload, _, _ = exchange(tmp_path, as_json({"upload_id": "u-1", "sync_state": "PENDING"}, 202), as_json(told, 200))

    assert upload == Upload(state=state, error=told["error"])


def test_the_contract_knows_the_states_that_we_know() -> None:
    """The states of the contract and of the program are the same set."""
    schema = CONTRACT.resolve({"$ref": "#/components/schemas/Upload"})
    states = schema["properties"]["sync_state"]
    with pytest.raises(jsonschema.ValidationError):
        CONTRACT.validator(states).validate("DONE")
    assert set(CONTRACT.resolve(states)["enum"]) == set(UploadState)
