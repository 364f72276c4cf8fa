"""A small running sandbox, a client, and the schemas that judge its responses."""

import gzip
import hashlib
import json
import time
import uuid
from pathlib import Path

import httpx
import pytest
import yaml

from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from tests.contract.published import Published

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def published():
    """The published schemas by side ("ghec", "3.17", ...), strict: an unknown field is an error."""
    folder = ROOT / "tests" / "samples" / "openapi"
    return {
        path.stem.removesuffix("-licensing").removeprefix("ghes-"): Published(json.loads(path.read_text()), strict=True)
        for path in folder.glob("*.json")
    }


@pytest.fixture(scope="session")
def delivery_contract():
    return Published(yaml.safe_load((ROOT / "docs" / "delivery-openapi.yaml").read_text()), strict=False)


@pytest.fixture(scope="session")
def fleet():
    return generate_fleet(seed=5, instances=4, people=300)


@pytest.fixture
def make_box(fleet):
    boxes = []

    def make(**options):
        box = Sandbox(options.pop("fleet", fleet), **{"processing_delay": 0.0, **options})
        box.start()
        boxes.append(box)
        return box

    yield make
    for box in boxes:
        box.stop()


@pytest.fixture
def box(make_box):
    return make_box(quirks="off")


@pytest.fixture
def http():
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


class Caller:
    """Send requests to a sandbox as its users do."""

    def __init__(self, client):
        self.client = client

    def cloud(self, box, path, **options):
        headers = {"Authorization": f"Bearer {box.cloud_token}", **options.pop("headers", {})}
        return self.client.get(box.cloud_api_url + path, headers=headers, **options)

    def control(self, box, method, path, body=None):
        headers = {"Authorization": f"Bearer {box.control_token}"}
        return self.client.request(method, f"{box.cloud_api_url}/_sandbox/{path}", headers=headers, json=body)

    def ghes(self, instance, path, **options):
        return self.client.get(instance.url + path, auth=options.pop("auth", (instance.username, instance.token)), **options)

    def report(self, instance):
        return self.poll(lambda: self.ghes(instance, "/stafftools/reports/all_users.csv"), lambda reply: reply.status_code != 202)

    def consumed(self, box, per_page=100):
        """Follow the links of all pages, and return the rows."""
        reply = self.cloud(box, f"/enterprises/{box.enterprise}/consumed-licenses?per_page={per_page}")
        rows = reply.json()["users"]
        while "next" in reply.links:
            reply = self.client.get(reply.links["next"]["url"], headers=reply.request.headers)
            rows += reply.json()["users"]
        return rows

    def deliver(self, box, document, **headers):
        instance = document.get("instance") or {}
        named = {"host_name": None, "server_id": None, **(instance if isinstance(instance, dict) else {})}
        content = {"host_name": named["host_name"], "server_id": named["server_id"], "users": document.get("users")}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        given = {
            "Authorization": f"Bearer {box.delivery_token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": str(uuid.uuid4()),
            "Licsync-Content-Hash": "sha256:" + hashlib.sha256(text.encode()).hexdigest(),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = json.dumps(document).encode()
        body = gzip.compress(body) if given["Content-Encoding"] == "gzip" else body
        return self.client.post(box.delivery_url, content=body, headers={name: value for name, value in given.items() if value is not None})

    def upload(self, box, upload_id):
        return self.client.get(f"{box.delivery_url}/{upload_id}", headers={"Authorization": f"Bearer {box.delivery_token}"})

    def poll(self, ask, done, within_s=5.0):
        deadline = time.monotonic() + within_s
        while not done(answer := ask()):
            assert time.monotonic() < deadline, f"still {answer!r}"
            time.sleep(0.01)
        return answer


@pytest.fixture
def ask(http):
    return Caller(http)


@pytest.fixture
def document_of():
    def build(instance, users=None):
        users = instance.as_sent() if users is None else users
        return {
            "format": "licsync/1",
            "collected_at": "2026-11-24T02:00:00Z",
            "instance": {"server_id": instance.server_id, "host_name": instance.hostname, "version": instance.version, "http_only": False},
            "totals": {"accounts": len(users), "seats_used": len(users)},
            "users": users,
        }

    return build
