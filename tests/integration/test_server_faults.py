"""Bad input from a server: the instance fails with its own code, and the other instance is still synced."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox import Fault
from tests.integration.support import ALL_FAILED, HELD, META, OK, REPORT, SOME_FAILED, SYNC_STATUS, UPLOADS, Practice, report, row, rows

PERMANENT, TRANSIENT = 1, 5  # requests


def said(message: str) -> str:
    return json.dumps({"message": message, "documentation_url": "https://docs.github.com/rest"})


def answer(path: str, status: int, body: str = "", headers: Mapping[str, str] | None = None) -> Fault:
    return Fault("emea", path, "status", status=status, body=body, headers=headers, content_type="application/json")


def csv_body(body: str) -> Fault:
    return Fault("emea", REPORT, "body", body=body, content_type="text/csv")


def upload(status: int, times: int, headers: Mapping[str, str] | None = None) -> Fault:
    """Let the first upload, which is emea's, be refused so often."""
    body = json.dumps({"title": "refused", "detail": "no"})
    return Fault(
        "cloud", UPLOADS, "status", status=status, times=times, headers=headers, body=body, content_type="application/problem+json"
    )


@dataclass(frozen=True)
class Case:
    name: str
    fault: Fault
    code: str
    requests: int | None  # to the faulty path, answers that say "not yet" left out
    settings: Mapping[str, str] = field(default_factory=dict)


TWICE = report(row(7, "one@example.com"), row(7, "two@example.com"))
CASES = [
    Case("401", answer(META, 401, said("Bad credentials")), "unauthorized", PERMANENT),
    Case("401_on_the_report", answer(REPORT, 401), "unauthorized", PERMANENT),
    Case("403_plain", answer(META, 403, said("Must have admin rights")), "forbidden", PERMANENT),
    Case("403_rate_limit_by_retry_after", answer(META, 403, headers={"Retry-After": "20"}), "rate_limited", TRANSIENT),
    Case("403_rate_limit_by_words", answer(META, 403, said("You have exceeded a secondary rate limit")), "rate_limited", 4),
    Case("404", answer(META, 404, said("Not Found")), "not_found", PERMANENT),
    Case("410", answer(META, 410, said("This API version is gone")), "api_version_retired", PERMANENT),
    Case("422_on_the_instance", answer(META, 422, said("Unprocessable")), "rejected", PERMANENT),
    Case("429", answer(META, 429, headers={"Retry-After": "20"}), "rate_limited", TRANSIENT),
    Case("429_for_longer_than_a_run", answer(META, 429, headers={"Retry-After": "7200"}), "rate_limited", PERMANENT),
    Case("500", answer(META, 500), "server_error", TRANSIENT),
    Case("502_on_the_report", answer(REPORT, 502, "<html>bad gateway</html>"), "server_error", TRANSIENT),
    Case("503_maintenance_of_the_api", Fault("emea", META, "maintenance"), "maintenance", TRANSIENT),
    Case("503_maintenance_of_the_site", Fault("emea", REPORT, "maintenance"), "maintenance", TRANSIENT),
    Case("reset", Fault("emea", META, "reset"), "connection_lost", TRANSIENT),
    Case("reset_mid_body", Fault("emea", REPORT, "reset_mid_body"), "connection_lost", TRANSIENT),
    Case("short_body", Fault("emea", REPORT, "short_body"), "connection_lost", TRANSIENT),
    Case("truncated_gzip", Fault("emea", REPORT, "truncated_gzip"), "truncated", TRANSIENT),
    Case(
        "redirect_to_another_host", Fault("emea", META, "redirect", headers={"Location": "{other}/stolen"}), "redirect_refused", PERMANENT
    ),
    Case("redirect_for_ever", Fault("emea", META, "redirect", headers={"Location": META}), "redirect_refused", 4),
    Case("huge_json", Fault("emea", META, "huge", content_type="application/json"), "too_large", PERMANENT),
    Case("huge_report_record", Fault("emea", REPORT, "huge", content_type="text/csv"), "report_malformed", PERMANENT),
    Case("html_instead_of_json", Fault("emea", META, "body", body="<html>Sign in</html>"), "bad_response", PERMANENT),
    Case("a_list_instead_of_an_object", Fault("emea", META, "body", body="[]"), "bad_response", PERMANENT),
    Case("html_instead_of_csv", csv_body("<!DOCTYPE html>\n<html>\n<body>Sign in</body>\n</html>\n"), "report_not_csv", PERMANENT),
    Case("html_in_one_line", csv_body("<html><body>Sign in</body></html>"), "report_not_csv", PERMANENT),
    Case("html_after_empty_lines", csv_body("\n\n  \n<!DOCTYPE html>\n<html></html>\n"), "report_not_csv", PERMANENT),
    Case("json_instead_of_csv", csv_body('{"message": "Not Found", "status": "404"}'), "report_not_csv", PERMANENT),
    Case("header_changed", csv_body(report(header=["id", "login", "mail", "suspended?"])), "report_header_changed", PERMANENT),
    Case("a_column_twice", csv_body(report(header=["id", "login", "email", "email", "suspended?"])), "report_header_changed", PERMANENT),
    Case("wrong_cell_count", csv_body(report(row(1), [*row(2), "one more"])), "report_malformed", PERMANENT),
    Case("bad_quoting", csv_body(report(row(1)) + '2020,2,"a"b,c\n'), "report_malformed", PERMANENT),
    Case("cut_in_mid_row", csv_body(report(row(1)) + "2020,2,octo"), "report_truncated", PERMANENT),
    Case("empty_body", csv_body(""), "report_truncated", PERMANENT),
    Case("one_id_with_two_contents", csv_body(TWICE), "report_conflicting_rows", PERMANENT),
    Case("upload_401", upload(401, 1), "unauthorized", PERMANENT),
    Case("upload_403", upload(403, 1), "forbidden", PERMANENT),
    Case("upload_404", upload(404, 1), "not_found", PERMANENT),
    Case("upload_409", upload(409, 1), "upload_conflict", PERMANENT),
    Case("upload_413", upload(413, 1), "upload_too_large", PERMANENT),
    Case("upload_422", upload(422, 1), "upload_refused", PERMANENT),
    Case("upload_429", upload(429, 5, {"Retry-After": "3"}), "rate_limited", TRANSIENT),
    Case("upload_503", upload(503, 5), "server_error", TRANSIENT),
]


def test_an_incomplete_report_is_held_and_nothing_of_it_leaves(practice: Practice) -> None:
    """Far fewer rows than the instance's users: the run waits for a person, the other instance is confirmed, and the exit code is 5."""
    practice.box.faults.add(csv_body(report(*rows(20))))

    outcome = practice.run()

    held = outcome["emea"]
    assert (held.state, held.code) == (RunState.HELD, "below_seats")
    assert {one.code for one in held.tripped} == {"incomplete_usage", "below_seats"}
    assert held.run_id in (held.next_step or "")
    assert outcome["amer"].state is RunState.CONFIRMED
    assert outcome.exit == HELD
    assert practice.uploads("emea") == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_of_one_instance_fails_it_alone_and_is_not_asked_too_often(practice: Practice, case: Case) -> None:
    """Each fault has its own code, permanent ones make one request, transient ones five at most, and the other instance is confirmed."""
    fault = case.fault
    if fault.kind == "redirect":
        location = (fault.headers or {})["Location"].format(other=practice.box.instances["amer"].url)
        fault = Fault("emea", fault.path, "redirect", headers={"Location": location})
    practice.box.faults.add(fault)

    outcome = practice.run()

    assert (outcome["emea"].state, outcome["emea"].code) == (RunState.FAILED, case.code)
    assert outcome["emea"].cause
    assert outcome["emea"].next_step
    assert outcome["amer"].state is RunState.CONFIRMED
    assert outcome.exit == SOME_FAILED
    assert practice.uploads("emea") == 0
    hits = [status for status in practice.asked(fault.server, fault.path, "POST" if fault.path == UPLOADS else "GET") if status != 202]
    assert len(hits) == case.requests
    assert not practice.asked("amer", "/stolen")


def test_a_primary_rate_limit_is_waited_for_as_long_as_its_headers_say(practice: Practice) -> None:
    """A 403 with nothing remaining is tried again after the stated reset and not before, and the run then succeeds."""
    reset = practice.box.clock.now + timedelta(seconds=90)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(reset.timestamp()))}
    practice.box.faults.add(Fault("emea", META, "status", status=403, times=1, headers=headers))

    outcome = practice.run()

    assert outcome.exit == OK
    assert practice.asked("emea", META) == [403, 200]
    assert practice.clock.monotonic() >= 90


def test_a_wait_longer_than_a_run_is_handed_to_the_schedule(practice: Practice) -> None:
    """A server that asks for a wait of two hours gets no more requests in this run; the time is recorded."""
    practice.box.faults.add(answer(META, 429, headers={"Retry-After": "7200"}))

    run = practice.run()["emea"]

    assert run.retry_not_before is not None
    assert timedelta(minutes=119) < run.retry_not_before - practice.clock.now() <= timedelta(minutes=120)


@pytest.mark.parametrize(
    "fault",
    [
        answer(META, 503),
        answer(META, 429, headers={"Retry-After": "1"}),
        Fault("emea", META, "reset", times=4),
        Fault("emea", REPORT, "reset_mid_body", times=2),
        Fault("emea", REPORT, "truncated_gzip", times=2),
        Fault("cloud", UPLOADS, "status", status=502, times=4),
        Fault("cloud", SYNC_STATUS, "status", status=500, times=4),
    ],
    ids=lambda fault: f"{fault.kind}_{fault.status or ''}{fault.path.rpartition('/')[2]}",
)
def test_a_fault_that_passes_is_outlived(practice: Practice, fault: Fault) -> None:
    """Four bad responses and then a good one end in a confirmed sync."""
    practice.box.faults.add(Fault(**{name: getattr(fault, name) for name in fault.__slots__} | {"times": fault.times or 4}))

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.uploads("emea") == 1


def test_a_report_that_is_never_built_ends_at_its_limit(practice: Practice) -> None:
    """202 for ever is asked again with growing pauses until `report_timeout`, then the instance fails alone."""
    practice.box.instances["emea"].report_ready_after = float("inf")
    practice.override(instances__emea__source__report_timeout="10m")
    began = practice.clock.monotonic()

    outcome = practice.run()

    assert outcome["emea"].code == "report_timeout"
    assert outcome["amer"].state is RunState.CONFIRMED
    assert outcome.exit == SOME_FAILED
    asked = practice.asked("emea", REPORT)
    assert set(asked) == {202}
    assert 20 <= len(asked) <= 40
    assert practice.clock.monotonic() - began >= 540


def test_no_server_at_the_address(practice: Practice) -> None:
    """A refused connection has its own code, is retried, and does not affect the other instance."""
    practice.override(instances__emea__url="http://127.0.0.1:1")

    outcome = practice.run()

    assert outcome["emea"].code == "unreachable"
    assert outcome["amer"].state is RunState.CONFIRMED
    assert outcome.exit == SOME_FAILED
    assert practice.asked("emea") == []


def test_too_many_unusable_rows(practice: Practice) -> None:
    """Two unusable rows of a hundred are over one percent: nothing is sent."""
    practice.box.instances["emea"].set_report(report(*rows(98), row("none"), row("zero")).encode())

    outcome = practice.run()

    assert outcome["emea"].code == "report_unusable_rows"
    assert outcome["emea"].counts.unusable == 2
    assert outcome["amer"].state is RunState.CONFIRMED
    assert practice.uploads("emea") == 0


@pytest.mark.parametrize(
    "content",
    [report(), report(row(1, suspended="true"), row(2, suspended="true"))],
    ids=["only_a_header", "only_suspended_accounts"],
)
def test_an_instance_without_accounts(practice: Practice, content: str) -> None:
    """Empty usage is a failure, so that the cloud is never emptied by accident."""
    practice.run("emea")
    before = practice.sent("emea")
    practice.box.instances["emea"].set_report(content.encode())

    outcome = practice.run()

    assert outcome["emea"].code == "empty_usage"
    assert outcome["amer"].state is RunState.CONFIRMED
    assert practice.sent("emea") == before


def _unknown(practice: Practice) -> None:
    practice.forget_server_id("emea")


def _ambiguous(practice: Practice) -> None:
    practice.forget_server_id("emea")
    practice.box.list_server("emea")
    practice.box.cloud.list_server("11111111-2222-4333-8444-555555555555", practice.box.instances["emea"].hostname.upper())


@pytest.mark.parametrize(
    ("prepare", "code"), [(_unknown, "server_id_unknown"), (_ambiguous, "server_id_ambiguous")], ids=["unknown", "ambiguous"]
)
def test_an_instance_the_cloud_cannot_place_is_not_sent(practice: Practice, prepare: Callable[[Practice], None], code: str) -> None:
    """Without one certain `server_id` nothing is read and nothing is sent."""
    prepare(practice)

    outcome = practice.run()

    assert outcome["emea"].code == code
    assert outcome["amer"].state is RunState.CONFIRMED
    assert practice.uploads("emea") == 0
    assert practice.asked("emea") == []


def test_the_only_server_listed_for_the_hostname_is_taken(practice: Practice) -> None:
    """Without a configured `server_id` the one that the cloud lists for this hostname is used."""
    practice.forget_server_id("emea")
    practice.box.list_server("emea")

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.uploads("emea") == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("cloud", SYNC_STATUS, "status", status=401), "unauthorized"),
        (Fault("cloud", SYNC_STATUS, "status", status=403), "forbidden"),
        (Fault("cloud", SYNC_STATUS, "status", status=404), "not_found"),
        (Fault("cloud", SYNC_STATUS, "body", body="<html>unicorn</html>"), "bad_response"),
        (Fault("cloud", SYNC_STATUS, "body", body='{"properties": {"server_instances": {}}}'), "bad_response"),
        (Fault("cloud", SYNC_STATUS, "body", body='{"server_instances": {}}'), "bad_response"),
        (Fault("cloud", SYNC_STATUS, "body", body='{"server_instances": [], "server_instances": []}'), "bad_response"),
        (Fault("cloud", SYNC_STATUS, "reset"), "connection_lost"),
    ],
    ids=["401", "403", "404", "html", "a_schema", "no_list", "a_key_twice", "reset"],
)
def test_without_a_baseline_nothing_is_sent(practice: Practice, fault: Fault, code: str) -> None:
    """A cloud that cannot be read before sending fails every instance, and nothing leaves the machine."""
    practice.box.faults.add(fault)

    outcome = practice.run()

    assert {run.run.code for run in outcome.results.values() if run.run} == {code}
    assert outcome.exit == ALL_FAILED
    assert practice.box.cloud.uploads() == []
