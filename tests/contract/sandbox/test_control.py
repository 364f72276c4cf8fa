"""The control routes do what the methods do."""

import pytest


@pytest.fixture
def emea(box):
    return box.instances["emea"]


def entry(box):
    (row,) = box.cloud.sync_status()["server_instances"]
    return row


def test_faults_are_added_and_cleared(box, emea, ask):
    fault = {"server": "emea", "path": "/api", "kind": "status", "status": 418, "headers": {"X-Why": "tea"}, "body": "short"}
    assert ask.control(box, "POST", "faults", fault).status_code == 200

    hit = ask.ghes(emea, "/api/v3/meta")
    assert (hit.status_code, hit.headers["x-why"], hit.text) == (418, "tea", "short")

    ask.control(box, "DELETE", "faults")
    assert ask.ghes(emea, "/api/v3/meta").status_code == 200


def test_faults_never_hit_the_control_routes(box, ask):
    ask.control(box, "POST", "faults", {"server": "cloud", "path": "/", "kind": "reset"})

    assert ask.control(box, "DELETE", "faults").status_code == 200


def test_the_clock_is_moved(box, ask):
    before = box.clock.now

    ask.control(box, "POST", "clock", {"advance": 3600})
    assert 3600 <= (box.clock.now - before).total_seconds() < 3610
    answer = ask.control(box, "POST", "clock", {"now": "2030-01-01T00:00:00Z"}).json()

    assert answer["now"].startswith("2030-01-01T00:00:0")


@pytest.mark.parametrize("route", ["push", "upload"])
def test_connect_and_a_person_bring_the_instances_own_usage(box, emea, ask, route):
    upload_id = ask.control(box, "POST", route, {"instance": "emea"}).json()["upload_id"]

    assert box.cloud.upload(upload_id).sync_state == "SUCCESS"
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()
    assert entry(box)["last_sync"]["status"] == "success"
    assert not [a for a in emea.accounts if a.suspended and a.id in {user["id"] for user in box.cloud.holdings(emea.server_id)}]


def test_a_push_is_at_once_an_upload_takes_its_time(make_box, ask):
    box = make_box(processing_delay=60)
    states = {
        route: box.cloud.upload(ask.control(box, "POST", route, {"instance": "emea"}).json()["upload_id"]).sync_state
        for route in ("push", "upload")
    }

    assert states == {"push": "SUCCESS", "upload": "PENDING"}


def test_a_server_is_listed_without_a_sync(box, emea, ask):
    ask.control(box, "POST", "list", {"instance": "emea"})

    assert entry(box) == {"server_id": emea.server_id, "hostname": emea.hostname}


@pytest.mark.parametrize(
    "last_sync",
    [
        {},
        None,
        {"date": "2099-01-01T00:00:00Z", "status": "success", "error": ""},
        {"date": "2026-01-01T00:00:00Z", "status": "odd", "error": "x"},
    ],
)
def test_an_entry_can_be_anything(box, ask, last_sync):
    ask.control(box, "PUT", "sync_entry", {"instance": "emea", "last_sync": last_sync})

    assert entry(box)["last_sync"] == last_sync


def test_an_entry_can_lose_its_sync(box, ask):
    box.push("emea")

    ask.control(box, "PUT", "sync_entry", {"instance": "emea"})

    assert "last_sync" not in entry(box)


def test_processing_can_fail(box, ask):
    ask.control(box, "PUT", "processing", {"mode": "failure", "delay": 0, "error": "no such luck"})
    upload_id = box.push("emea")

    assert (box.cloud.upload(upload_id).sync_state, box.cloud.upload(upload_id).error) == ("FAILURE", "no such luck")
    assert entry(box)["last_sync"]["status"] == "failure"
    assert entry(box)["last_sync"]["error"] == "no such luck"


def test_processing_can_end_in_an_unknown_status(box, ask):
    ask.control(box, "PUT", "processing", {"mode": "success", "status": "queued"})
    box.push("emea")

    assert entry(box)["last_sync"]["status"] == "queued"


def test_processing_can_take_for_ever(box, ask):
    ask.control(box, "PUT", "processing", {"mode": "never"})
    upload_id = box.push("emea")
    box.clock.advance(86400 * 365)

    assert box.cloud.upload(upload_id).sync_state == "PENDING"
    assert box.cloud.sync_status() == {"server_instances": []}


def test_the_state_tells_counts(box, emea, ask):
    box.push("emea")

    state = ask.control(box, "GET", "state").json()

    assert state["holdings"] == {emea.server_id: len(emea.as_sent())}
    assert state["seats"] == box.cloud.seats()
    assert [(upload["sync_state"], upload["accounts"]) for upload in state["uploads"]] == [("SUCCESS", len(emea.as_sent()))]
    assert "@" not in str(state)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "push", {"instance": "nowhere"}, 422),
        ("POST", "push", {}, 422),
        ("POST", "push", [], 422),
        ("POST", "faults", {"server": "emea", "path": "/", "kind": "explode"}, 422),
        ("POST", "faults", {"server": "emea", "nonsense": 1}, 422),
        ("POST", "clock", {"now": "tomorrow"}, 422),
        ("POST", "clock", {"now": "2030-01-01T00:00:00"}, 422),
        ("PUT", "processing", {"mode": "maybe"}, 422),
        ("POST", "nothing", {}, 404),
    ],
)
def test_nonsense_is_refused(box, ask, method, path, body, status):
    reply = ask.control(box, method, path, body)

    assert (status, "application/problem+json") == (reply.status_code, reply.headers["content-type"])


def test_it_needs_its_own_token(box, http):
    url = f"{box.cloud_api_url}/_sandbox/state"

    assert http.get(url).status_code == 401
    assert http.get(url, headers={"Authorization": f"Bearer {box.cloud_token}"}).status_code == 401
