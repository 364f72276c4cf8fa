"""The routes of an instance."""

import gzip

import pytest

from licsync_daemon.practice.sandbox import Fault, RateLimit

REPORT = "/stafftools/reports/all_users.csv"
API = ["/api/v3/enterprise/settings/license", "/api/v3/enterprise/stats/users", "/api/v3/meta"]


@pytest.fixture
def emea(box):
    return box.instances["emea"]


def test_the_report_is_202_until_it_is_built_then_served_byte_for_byte(emea, ask):
    first = ask.ghes(emea, REPORT)
    built = ask.report(emea)

    assert (first.status_code, first.content) == (202, b"")
    assert built.status_code == 200
    assert built.headers["content-type"] == "text/csv; charset=utf-8"
    assert built.content == emea.report.csv


def test_the_report_is_compressed_only_when_asked(emea, ask, http):
    plain = ask.poll(lambda: ask.ghes(emea, REPORT, headers={"Accept-Encoding": "identity"}), lambda reply: reply.status_code == 200)
    with http.stream("GET", emea.url + REPORT, auth=(emea.username, emea.token), headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content == emea.report.csv


def test_a_new_report_is_built_first(emea, ask):
    ask.report(emea)

    emea.set_report(b"id,login,email,role,suspended?\r\n3,mona,mona@example.com,user,false\r\n")

    assert ask.ghes(emea, REPORT).status_code == 202
    assert b"mona@example.com" in ask.report(emea).content
    assert ask.ghes(emea, API[1]).json() == {"total_users": 1, "admin_users": 0, "suspended_users": 0}


def test_counts_come_from_the_rows(emea, ask):
    license_, stats, meta = (ask.ghes(emea, path) for path in API)
    suspended = sum(account.suspended for account in emea.accounts)

    assert stats.json() == {"total_users": len(emea.accounts), "admin_users": emea.report.admins, "suspended_users": suspended}
    assert license_.json()["seats_used"] == len(emea.accounts) - suspended
    assert meta.json()["installed_version"] == emea.version
    assert {reply.headers["X-GitHub-Enterprise-Version"] for reply in (license_, stats, meta)} == {emea.version}


@pytest.mark.parametrize("path", [REPORT, *API])
def test_wrong_credentials_are_401(emea, ask, http, path):
    assert http.get(emea.url + path).status_code == 401
    assert ask.ghes(emea, path, auth=(emea.username, "ghp_wrong")).status_code == 401
    assert ask.ghes(emea, path, auth=("somebody", emea.token)).status_code == 401


def test_the_website_accepts_no_bearer_token(emea, http):
    assert http.get(emea.url + REPORT, headers={"Authorization": f"Bearer {emea.token}"}).status_code == 401


def test_an_ordinary_user_gets_404_where_an_administrator_is_needed(emea, ask):
    auth = (emea.ordinary_username, emea.ordinary_token)

    assert [ask.ghes(emea, path, auth=auth).status_code for path in (REPORT, *API)] == [404, 404, 404, 200]


def test_it_never_reveals_its_server_id(emea, ask):
    ask.report(emea)

    for path in (REPORT, *API, "/", "/api/v3"):
        reply = ask.ghes(emea, path)
        assert emea.server_id not in reply.text
        assert emea.server_id not in str(reply.headers)


def test_rate_limits_are_off_until_set(box, emea, ask):
    assert not [name for name in ask.ghes(emea, API[2]).headers if name.startswith("x-ratelimit")]
    assert ask.ghes(emea, "/api/v3/rate_limit").status_code == 404

    emea.rate_limit = RateLimit(box.clock, 1)

    replies = [ask.ghes(emea, API[2]) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 403]
    assert {reply.headers["x-ratelimit-remaining"] for reply in replies} == {"0"}
    assert int(replies[1].headers["x-ratelimit-reset"]) > box.clock.now.timestamp()


def test_in_maintenance_everything_is_503(box, emea, ask):
    box.faults.add(Fault("emea", "/", "maintenance"))

    web, api = ask.ghes(emea, REPORT), ask.ghes(emea, API[0])

    assert (web.status_code, web.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert (api.status_code, api.json()["status"]) == (503, "503")
    assert ask.ghes(box.instances["amer"], API[0]).status_code == 200
