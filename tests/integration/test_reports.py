"""Odd but good reports arrive in the cloud exactly as they are meant."""

import json

import pytest

from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox import Fault
from tests.integration.support import OK, REPORT, Practice, report, row, rows

LICENSE = "/api/v3/enterprise/settings/license"
ODD_JSON = json.dumps({"login": "mona", "note": 'a, "b"', "lines": "one\ntwo\r\nthree"}, indent=1)


def serve(practice: Practice, content: str | bytes, users: int) -> None:
    """Let emea respond with any report, even an invalid one, and report the given numbers of users and seats."""
    body = json.dumps({"total_users": users, "admin_users": 1, "suspended_users": 0})
    license_body = json.dumps({"seats": 500, "seats_used": users, "kind": "standard"})
    practice.box.faults.add(Fault("emea", LICENSE, "body", body=license_body, content_type="application/json"))
    practice.box.faults.add(Fault("emea", REPORT, "body", body=content, content_type="text/csv"))
    practice.box.faults.add(Fault("emea", "/api/v3/enterprise/stats/users", "body", body=body, content_type="application/json"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (report(row(1, raw_login=ODD_JSON), row(2, "two@example.com", raw_login='x\n"y"\n')), {(1, "mona@example.com"), (2, "two@example.com")}),
        ("\ufeff" + report(row(1)), {(1, "mona@example.com")}),
        (report(row(1), row(2, "b@example.com"), end="\r\n"), {(1, "mona@example.com"), (2, "b@example.com")}),
        ("\ufeff" + report(row(1, raw_login=ODD_JSON), end="\r\n"), {(1, "mona@example.com")}),
        (report(row(1, "żółw@bücher.example"), row(2, "Ольга@example.org", login="ольга")), {(1, "żółw@bücher.example"), (2, "Ольга@example.org")}),
        (report(row(1, ""), row(2)), {(1, ""), (2, "mona@example.com")}),
        (report(row(1, "MONA@Example.COM")), {(1, "MONA@Example.COM")}),
        (report(row(1, suspended="FALSE"), row(2, suspended="True"), row(3, suspended="0"), row(4, suspended="1")), {(1, "mona@example.com"), (3, "mona@example.com")}),
        (report(row(9, "nine@example.com"), row(3, "three@example.com")), {(3, "three@example.com"), (9, "nine@example.com")}),
        (report(row(2**63 - 1)), {(2**63 - 1, "mona@example.com")}),
        (report(["7", "mona", "no", "a@example.com", "new"], header=["ID", "Login", "suspended?", " email ", "added later"]), {(7, "a@example.com")}),
        (report(row(1)) + "\n\n", {(1, "mona@example.com")}),
    ],
    ids=[
        "newlines_and_quotes_in_a_cell", "byte_order_mark", "crlf", "byte_order_mark_and_crlf", "non_ascii", "empty_address", "upper_case",
        "flags", "unordered", "largest_id", "other_columns", "empty_lines_at_the_end",
    ],
)  # fmt: skip
def test_an_odd_but_good_report_is_read_correctly(practice: Practice, content: str, expected: set[tuple[int, str]]) -> None:
    """What the cloud holds afterwards is exactly the unsuspended accounts with their addresses as written."""
    serve(practice, content, len(expected))

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.sent("emea") == expected
    assert outcome["emea"].counts.without_address == sum(not address for _, address in expected)


def test_unusable_rows_are_counted_and_named_without_a_person(practice: Practice) -> None:
    """An id that is no number, an unknown flag, an undecodable address and an exact duplicate are left out, named by line and id only."""
    bad = [
        row("x-1", "first.secret@example.com", login="first-secret"),
        row(5001, "second.secret@example.com", login="second-secret", suspended="perhaps"),
        row(5002, "third.secret@example.com\udcff", login="third-secret"),
        rows(1)[0],
    ]
    content = report(*rows(500), *bad).encode("utf-8", "surrogateescape")
    serve(practice, content, 504)

    outcome = practice.run("emea")

    run = outcome["emea"]
    assert (run.state, run.counts.rows, run.counts.sent, run.counts.unusable) == (RunState.CONFIRMED, 504, 500, 4)
    assert practice.sent("emea") == {(n, f"user{n}@example.com") for n in range(1, 501)}
    (notice,) = [one for one in run.notices if one.code == "report_unusable_rows"]
    assert notice.text.split("; ") == [
        "4 unusable: line 502 (id x-1): the id is not a positive number",
        "line 503 (id 5001): the suspended flag is neither true nor false",
        "line 504 (id 5002): a cell is not valid UTF-8",
        "line 505 (id 1): duplicate row",
    ]


def test_many_unusable_rows_are_named_in_part(practice: Practice) -> None:
    """Five are named, the rest is counted."""
    serve(practice, report(*rows(1000), *(row("bad") for _ in range(10))), 1010)

    run = practice.run("emea")["emea"]

    assert run.state is RunState.CONFIRMED
    assert run.notices[0].text.startswith("10 unusable: line 1002 (id bad)")
    assert run.notices[0].text.endswith("; and 5 more")


@pytest.mark.parametrize("value", ['"unlimited"', '"35"', "35", "null", "[]"], ids=["unlimited", "text", "number", "null", "nonsense"])
def test_the_license_may_say_its_seats_in_any_type(practice: Practice, value: str) -> None:
    """Seats in a string, "unlimited" or missing never stop a sync."""
    body = f'{{"seats": {value}, "seats_used": {value}, "kind": "standard"}}'
    practice.box.faults.add(Fault("emea", LICENSE, "body", body=body, content_type="application/json"))

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert outcome["emea"].counts.seats_used == (35 if "35" in value else None)
