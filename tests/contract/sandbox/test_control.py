"""The control routes."""

from datetime import datetime, timedelta

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
def test_a_push_and_an_upload_carry_the_usage_of_the_instance(box, emea, ask, route):
    upload_id = ask.control(box, "POST", route, {"instance": "emea"}).json()["upload_id"]

    assert box.cloud.upload(upload_id).sync_state == "SUCCESS"
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()
    assert entry(box)["last_sync"]["status"] == "success"
    assert not [a for a in emea.accounts if a.suspended and a.id in {user["id"] for user in box.cloud.holdings(emea.server_id)}]


def test_a_push_is_processed_at_once_and_an_upload_later(make_box, ask):
    box = make_box(processing_delay=60)
    states = {
        route: box.cloud.upload(ask.control(box, "POST", route, {"instance": "emea"}).json()["upload_id"]).sync_state
        for route in ("push", "upload")
    }

    assert states == {"push": "SUCCESS", "upload": "PENDING"}


def test_a_server_is_listed_without_a_sync(box, emea, ask):
    ask.control(box, "POST", "list", {"instance": "emea"})

    assert entry(box) == {"server_id": emea.server_id, "hostname": emea.hostname}


def test_an_entry_can_be_anything_or_have_no_sync(box, ask):
    box.push("emea")
    values = [{}, None, {"date": "2099-01-01T00:00:00Z", "status": "success", "error": ""}, {"date": "soon", "status": "odd", "error": "x"}]
    for last_sync in values:
        ask.control(box, "PUT", "sync_entry", {"instance": "emea", "last_sync": last_sync})
        assert entry(box)["last_sync"] == last_sync

    ask.control(box, "PUT", "sync_entry", {"instance": "emea"})

    assert "last_sync" not in entry(box)


def test_processing_can_fail(box, ask):
    ask.control(box, "PUT", "processing", {"mode": "failure", "delay": 0, "error": "no such luck"})
    upload_id = box.push("emea")

    assert (box.cloud.upload(upload_id).sync_state, box.cloud.upload(upload_id).error) == ("FAILURE", "no such luck")
    assert entry(box)["last_sync"]["status"] == "failure"
    assert entry(box)["last_sync"]["error"] == "no such luck"


def test_an_upload_can_stay_unprocessed(box, ask):
    ask.control(box, "PUT", "processing", {"mode": "never"})
    upload_id = box.push("emea")
    box.clock.advance(86400 * 365)

    assert box.cloud.upload(upload_id).sync_state == "PENDING"
    assert box.cloud.sync_status() == {"server_instances": []}


def test_the_state_has_counts_and_no_people(box, emea, ask):
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
        ("POST", "faults", {"server": "emea", "path": "/", "kind": "explode"}, 422),
        ("POST", "clock", {"now": "2030-01-01T00:00:00"}, 422),
        ("PUT", "processing", {"mode": "maybe"}, 422),
        ("POST", "nothing", {}, 404),
        ("GET", "export?instance=nowhere", None, 422),
        ("PUT", "token", {"scopes": "read:enterprise"}, 422),
        ("PUT", "license", {"instance": "emea", "days": "many", "seats": 1}, 422),
        ("PUT", "headers", {"X": "a\r\nb"}, 422),
    ],
)
def test_bad_requests_are_refused(box, ask, method, path, body, status):
    reply = ask.control(box, method, path, body)

    assert (status, "application/problem+json") == (reply.status_code, reply.headers["content-type"])


def test_the_control_routes_need_the_control_token(box, http):
    url = f"{box.cloud_api_url}/_sandbox/state"

    assert http.get(url).status_code == 401
    assert http.get(url, headers={"Authorization": f"Bearer {box.cloud_token}"}).status_code == 401


WEEK = 7 * 86400


def dates(box):
    return [upload.received_at for upload in box.cloud.uploads()]


def test_connect_lists_a_server_and_pushes_every_week(box, emea, ask):
    ask.control(box, "POST", "connect", {"instance": "emea", "weekly": True})
    enabled = box.clock.now
    assert entry(box) == {"server_id": emea.server_id, "hostname": emea.hostname}

    ask.control(box, "POST", "clock", {"advance": WEEK - 60})
    assert dates(box) == []
    ask.control(box, "POST", "clock", {"advance": 2 * WEEK + 3600})

    assert [round((date - enabled).total_seconds() / WEEK, 4) for date in dates(box)] == [1, 2, 3]
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()
    assert datetime.fromisoformat(entry(box)["last_sync"]["date"]) < box.clock.now - timedelta(minutes=50)


def test_a_disconnected_instance_sends_nothing_and_cannot_be_synced(box, ask):
    ask.control(box, "POST", "connect", {"instance": "emea", "weekly": True})
    ask.control(box, "POST", "disconnect", {"instance": "emea"})
    box.clock.advance(2 * WEEK)

    refusals = [ask.control(box, "POST", route, {"instance": "emea"}) for route in ("sync_now", "push")]

    assert [(one.status_code, one.json()["detail"]) for one in refusals] == [(422, "GitHub Connect is not enabled on emea")] * 2
    assert dates(box) == []
    assert "last_sync" not in entry(box)


@pytest.mark.parametrize("clear", [False, True])
def test_a_person_uploads_an_export(box, emea, ask, clear):
    export = ask.control(box, "GET", f"export?instance=emea&clear={str(clear).lower()}").json()
    assert export["instance"] == {
        "server_id": emea.server_id,
        "host_name": emea.hostname,
        "version": emea.version,
        "features": ["license_usage_sync"],
    }
    assert isinstance(export["users"], list) is clear

    upload_id = ask.control(box, "POST", "upload", export).json()["upload_id"]

    assert box.cloud.upload(upload_id).sync_state == "SUCCESS"
    assert box.cloud.holdings(emea.server_id) == emea.as_sent()


def test_a_readable_export_has_its_own_users(box, emea, ask):
    export = {"instance": {"server_id": emea.server_id}, "users": [{"id": 7, "emails": []}]}

    ask.control(box, "POST", "upload", export)

    assert box.cloud.holdings(emea.server_id) == [{"id": 7, "emails": []}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"instance": {"server_id": "unknown"}}, "the file is not from a server of this enterprise"),
        ({"instance": {}}, "the file is not from a server of this enterprise"),
        ({"users": ""}, "the file has no users"),
        ({"users": "not what GitHub wrote"}, "neither a list nor an encrypted text"),
        ({"users": 7}, "neither a list nor an encrypted text"),
        ({"users": [{"id": 1}]}, "field 'emails' is missing"),
    ],
)
def test_an_invalid_export_is_refused(box, ask, change, said):
    reply = ask.control(box, "POST", "upload", {**box.export("emea"), **change})

    assert reply.status_code == 422
    assert said in reply.json()["detail"]
    assert box.cloud.uploads() == []


def test_a_license_can_be_changed(box, ask):
    name, instance = next(iter(box.instances.items()))
    path, used = "/api/v3/enterprise/settings/license", box.instances[name].report.rows - box.instances[name].report.suspended

    ask.control(box, "PUT", "license", {"instance": name, "days": 20, "seats": used + 1})
    found = ask.ghes(instance, path).json()

    assert (found["days_until_expiration"], found["seats"], found["seats_available"]) == (20, used + 1, 1)
    assert found["expire_at"].startswith(f"{(box.clock.now + timedelta(days=20)):%Y-%m-%d}")


def test_the_token_can_be_changed(box, ask):
    ask.control(box, "PUT", "token", {"scopes": ["read:org"], "expires_at": "2030-01-01T00:00:00+00:00"})
    reply = ask.cloud(box, "/enterprises/octo-enterprise/license-sync-status")
    assert (reply.status_code, reply.headers["x-oauth-scopes"]) == (404, "read:org")
    assert reply.headers["github-authentication-token-expiration"] == "2030-01-01 00:00:00 UTC"

    ask.control(box, "PUT", "token", {"scopes": ["read:enterprise"], "owner": False})
    assert ask.cloud(box, "/enterprises/octo-enterprise/license-sync-status").status_code == 404

    ask.control(box, "PUT", "token", {"sso": False})
    reply = ask.cloud(box, "/enterprises/octo-enterprise/license-sync-status")
    assert (reply.status_code, reply.headers["x-github-sso"].partition(";")[0]) == (403, "required")

    ask.control(box, "PUT", "token", {})
    assert ask.cloud(box, "/enterprises/octo-enterprise/license-sync-status").status_code == 200


def test_responses_can_have_more_headers(box, ask):
    ask.control(box, "PUT", "headers", {"Sunset": "Tue, 24 Nov 2026 02:00:00 GMT"})
    assert ask.cloud(box, "/versions").headers["sunset"] == "Tue, 24 Nov 2026 02:00:00 GMT"

    ask.control(box, "PUT", "headers", {})
    assert "sunset" not in ask.cloud(box, "/versions").headers
