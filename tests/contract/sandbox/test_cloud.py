"""The cloud's published routes."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from licsync_daemon.practice.sandbox import RateLimit

SYNC = "/enterprises/octo-enterprise/license-sync-status"
CONSUMED = "/enterprises/octo-enterprise/consumed-licenses"


def test_a_server_is_listed_only_after_its_first_upload(box, ask):
    emea = box.instances["emea"]
    assert ask.cloud(box, SYNC).json() == {"server_instances": []}

    box.clock.set(datetime(2026, 11, 24, 2, 0, tzinfo=UTC))
    box.push("emea")

    (row,) = ask.cloud(box, SYNC).json()["server_instances"]
    assert (row["server_id"], row["hostname"]) == (emea.server_id, "ghes-emea.example.com")
    assert row["last_sync"]["date"].startswith("2026-11-24T02:00:0")
    assert {**row["last_sync"], "date": ""} == {"date": "", "status": "success", "error": ""}


def test_dates_of_replies_and_of_syncs_come_from_one_clock(box, ask):
    box.clock.advance(86400 * 400)

    box.push("emea")
    reply = ask.cloud(box, SYNC)

    date = datetime.fromisoformat(reply.json()["server_instances"][0]["last_sync"]["date"])
    assert timedelta(0) <= parsedate_to_datetime(reply.headers["Date"]) - date <= timedelta(seconds=5)
    assert timedelta(0) <= box.clock.now - date <= timedelta(seconds=5)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer ghp_wrong"}, {"Authorization": "nonsense"}])
def test_bad_credentials_are_refused(box, http, header):
    reply = http.get(box.cloud_api_url + SYNC, headers=header)

    assert reply.status_code == 401
    assert reply.json()["status"] == "401"


@pytest.mark.parametrize(("version", "status"), [("2022-11-28", 200), ("2026-03-10", 200), ("2020-01-01", 400)])
def test_the_supported_api_versions(box, ask, version, status):
    assert status == ask.cloud(box, SYNC, headers={"X-GitHub-Api-Version": version}).status_code


def test_pages_are_thirty_rows_and_at_most_a_hundred(box, ask):
    assert len(ask.cloud(box, CONSUMED).json()["users"]) == 30
    assert len(ask.cloud(box, f"{CONSUMED}?per_page=500").json()["users"]) == 100


def test_pages_have_links(box, ask):
    first = ask.cloud(box, f"{CONSUMED}?per_page=7&page=1")
    middle = ask.cloud(box, f"{CONSUMED}?per_page=7&page=3")
    last = ask.cloud(box, first.links["last"]["url"].removeprefix(box.cloud_api_url))
    beyond = ask.cloud(box, f"{CONSUMED}?per_page=7&page=9999")

    assert set(first.links) == {"next", "last"}
    assert set(middle.links) == {"first", "prev", "next", "last"}
    assert set(last.links) == {"first", "prev"}
    assert all(link["url"].startswith(f"{box.cloud_api_url}{CONSUMED}?per_page=7&page=") for link in middle.links.values())
    assert (middle.links["prev"]["url"][-1], middle.links["next"]["url"][-1]) == ("2", "4")
    assert beyond.json()["users"] == []
    assert beyond.json()["total_seats_consumed"] == box.cloud.seats()


def test_one_page_has_no_links(make_box, ask, fleet):
    box = make_box(fleet=type(fleet)("octo-enterprise", 1, frozenset(), fleet.instances, fleet.members[:3]))

    assert ask.cloud(box, CONSUMED).links == {}


def test_a_member_shows_only_addresses_on_verified_domains(box, ask):
    shown = {email for row in ask.consumed(box) for email in row["github_com_verified_domain_emails"]}
    every = {email for member in box.fleet.members for email in member.verified_emails}

    assert shown == {email for email in every if email.rpartition("@")[2] in box.fleet.verified_domains}
    assert shown != every


def test_a_rate_limit_is_counted_and_refuses(box, ask):
    box.cloud_app.rate_limit = RateLimit(box.clock, 2, status=429)

    replies = [ask.cloud(box, SYNC) for _ in range(3)]

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["1", "0", "0"]
    box.clock.advance(3601)
    assert ask.cloud(box, SYNC).status_code == 200


@pytest.mark.parametrize("path", [SYNC, f"{CONSUMED}?per_page=5"])
def test_an_unchanged_response_is_304(box, ask, path):
    box.push("emea")
    first = ask.cloud(box, path)
    mark = {"If-None-Match": first.headers["etag"]}

    second = ask.cloud(box, path, headers=mark)
    box.clock.advance(60)
    box.push("apac")
    third = ask.cloud(box, path, headers=mark)

    assert (second.status_code, second.content, second.headers["etag"]) == (304, b"", first.headers["etag"])
    assert third.status_code == 200
    assert third.headers["etag"] != first.headers["etag"]


def test_a_304_does_not_count_against_the_rate_limit(box, ask):
    box.cloud_app.rate_limit = RateLimit(box.clock, 2)
    mark = {"If-None-Match": ask.cloud(box, SYNC).headers["etag"]}

    assert [ask.cloud(box, SYNC, headers=mark).status_code for _ in range(3)] == [304, 304, 304]
    assert [ask.cloud(box, SYNC).status_code for _ in range(2)] == [200, 403]
