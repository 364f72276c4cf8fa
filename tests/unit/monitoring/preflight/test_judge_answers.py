"""What the responses of a server mean: tokens, clocks, API versions, licenses, releases."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.http.wire import AnswerFacts
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import (
    CloudAccount,
    ConnectDelivery,
    Destination,
    HttpDelivery,
    Instance,
    ManualDelivery,
    NoSource,
    SshSource,
)
from licsync_daemon.model.usage import Person, SeatTotals
from licsync_daemon.monitoring.preflight.judge_answers import (
    clock_row,
    domains_row,
    interface_rows,
    license_file_row,
    license_rows,
    metered_rows,
    owner_row,
    seats_row,
    sso_row,
    token_rows,
    version_of,
    version_rows,
)
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, Place
from tests.fakes import T0, an_instance

EMEA = Place("instance emea", "emea")
OK, WARN, FAIL = Outcome.OK, Outcome.WARN, Outcome.FAIL


def token(*, needed: str | None = "read:enterprise", **headers: Any) -> dict[str, CheckRow]:
    rows = token_rows(EMEA, AnswerFacts(**headers), T0, needed=needed, credential="cloud__token")
    return {row.test: row for row in rows}


# ---------------------------------------------------------------- tokens


def test_whose_token_it_is(subtests: pytest.Subtests) -> None:
    """The owner is named; another one than configured is a warning, in any case of letters."""
    for user, username, outcome, words in (
        ({"login": "Reader"}, "reader", OK, "belongs to Reader"),
        ({"login": "octo-owner"}, None, OK, "belongs to octo-owner"),
        ({"login": "mona"}, "reader", WARN, "belongs to mona, but the configured username is reader"),
        ({}, "reader", OK, "owner not reported"),
        ({"login": 7}, "reader", OK, "owner not reported"),
        ({"login": "mo\x1b[2Jna"}, None, OK, "belongs to mona"),
    ):
        with subtests.test(user=user, username=username):
            row = owner_row(EMEA, user, username)
            assert (row.outcome, words in row.seen) == (outcome, True)


def test_scopes(subtests: pytest.Subtests) -> None:
    """One scope is needed, what covers it is enough, more is too much; a token that tells none is tried, not refused."""
    for scopes, needed, outcome, words in (
        (("read:enterprise",), "read:enterprise", OK, "only read:enterprise"),
        (("site_admin",), "site_admin", OK, "only site_admin"),
        (("read:enterprise", "repo"), "read:enterprise", WARN, "more scopes than needed: repo"),
        (("admin:enterprise",), "read:enterprise", WARN, "more scopes than needed: admin:enterprise"),
        (("repo", "user"), "read:enterprise", FAIL, "lacks read:enterprise; its scopes: repo, user"),
        ((), "site_admin", FAIL, "lacks site_admin; its scopes: none"),
        (("admin:enterprise",), "site_admin", FAIL, "lacks site_admin"),
        (None, "read:enterprise", OK, "not reported"),
    ):
        with subtests.test(scopes=scopes, needed=needed):
            row = token(needed=needed, scopes=scopes)["scopes"]
            assert (row.outcome, words in row.seen) == (outcome, True)
            assert row.code == (Code.SCOPE_MISSING if outcome is FAIL else None)


def test_no_next_step_asks_for_more_than_is_needed() -> None:
    """Whatever a token lacks or has, `admin:enterprise` is never recommended."""
    every = [token(scopes=scopes)["scopes"] for scopes in ((), ("repo",), ("admin:enterprise",))]
    assert [row.fix for row in every if "admin:enterprise" in row.fix] == []
    assert "only the scope read:enterprise" in every[0].fix


def test_an_organization_needs_no_scope_we_know() -> None:
    """Nothing is said of scopes where none is known to be needed."""
    assert "scopes" not in token(needed=None, scopes=("repo",))


def test_the_end_of_a_token() -> None:
    """Where the far side tells it, it is judged in steps; the credential to replace is named."""
    assert token()["expiry"].outcome is OK
    assert token(token_expires_at=T0 + timedelta(days=31))["expiry"].outcome is OK
    row = token(token_expires_at=T0 + timedelta(days=13))["expiry"]
    assert (row.outcome, row.code, "14 days" in row.seen, "cloud__token" in row.fix) == (WARN, Code.CREDENTIAL_EXPIRING, True, True)


@pytest.mark.parametrize(
    ("sso", "outcome", "code"), [(None, OK, None), ("required", FAIL, Code.FORBIDDEN), ("partial-results", WARN, None)]
)
def test_single_sign_on(sso: str | None, outcome: Outcome, code: Code | None) -> None:
    """A token that is not authorized is a failure with the button that authorizes it; partial answers are a warning."""
    row = sso_row(EMEA, AnswerFacts(sso=sso))
    assert (row.outcome, row.code) == (outcome, code)
    assert ("*Configure SSO*" in row.fix, "each organization" in row.fix) == (outcome is not OK, outcome is not OK)


# ---------------------------------------------------------------- clocks and interfaces


def test_clocks_that_differ(subtests: pytest.Subtests) -> None:
    """Up to a minute is fine, up to five is a warning, and it is said in which direction."""
    for ahead_s, outcome, words in (
        (0, OK, "0 s difference"),
        (60, OK, "60 s difference"),
        (-60, OK, "60 s difference"),
        (61, WARN, "1 min ahead of the server's"),
        (300, WARN, "5 min ahead of the server's"),
        (301, FAIL, "5 min ahead of the server's"),
        (-301, FAIL, "5 min behind the server's"),
    ):
        with subtests.test(ahead_s=ahead_s, outcome=outcome):
            row = clock_row(EMEA, T0, T0 + timedelta(seconds=ahead_s))
            assert (row.outcome, words in row.seen, row.code) == (outcome, True, None if outcome is OK else Code.CLOCK_WRONG)


def test_an_answer_without_a_date() -> None:
    """Nothing can be said then."""
    assert clock_row(EMEA, None, T0) == EMEA.ok("clock", "no date reported")


def test_what_is_left_of_the_rate_limit() -> None:
    """Fewer than a hundred requests are a warning; an instance without limits has no such row."""
    rows = [list(interface_rows(EMEA, AnswerFacts(remaining=left), None)) for left in (None, 4999, 100, 99)]
    assert [[(row.outcome, row.test) for row in every] for every in rows] == [
        [], [(OK, "rate limit")], [(OK, "rate limit")], [(WARN, "rate limit")],
    ]  # fmt: skip


def test_an_interface_that_will_end_has_the_step_that_its_place_accepts(subtests: pytest.Subtests) -> None:
    """The cloud is asked with the next version; an instance only from GHES 3.21 on; with that version, only an update helps."""
    for version, requested, release, words in (
        ("2022-11-28", "2022-11-28", None, 'set `api_version = "2026-03-10"` in [cloud]'),
        (None, None, None, 'set `api_version = "2026-03-10"` in [cloud]'),
        ("2022-11-28", "2022-11-28", (3, 20), "upgrade the instance to GHES 3.21 or later, then set"),
        (None, None, (3, 21), 'set `api_version = "2026-03-10"` in the source of the instance'),
        ("2026-03-10", "2026-03-10", (3, 21), "update licsync-daemon before that date"),
        (None, "2026-03-10", None, "update licsync-daemon before that date"),
    ):
        with subtests.test(version=version, requested=requested, release=release):
            (row,) = interface_rows(EMEA, AnswerFacts(sunset_at=T0, api_version=version), requested, release)
            assert row.fix.startswith(words)
            assert ("2028-03-10" in row.fix) is ("2026-03-10" not in {version, requested})


@pytest.mark.parametrize(
    ("facts", "outcome", "words"),
    [
        (AnswerFacts(api_version="2022-11-28"), OK, "version 2022-11-28"),
        (AnswerFacts(deprecation="@1688169599", api_version="2022-11-28"), WARN, "is deprecated"),
        (AnswerFacts(sunset_at=T0), WARN, "is deprecated, and will be removed on 2026-11-24"),
    ],
)
def test_an_interface_that_will_end(facts: AnswerFacts, outcome: Outcome, words: str) -> None:
    """`Deprecation` and `Sunset` are told with the date."""
    (row,) = interface_rows(EMEA, facts, "2022-11-28")
    assert (row.outcome, words in row.seen) == (outcome, True)
    assert row.code == (Code.API_DEPRECATED if outcome is WARN else None)


# ---------------------------------------------------------------- licenses


def licensed(**data: Any) -> dict[str, CheckRow]:
    return {row.test: row for row in license_rows(EMEA, data, T0)}


def test_the_end_of_a_license(subtests: pytest.Subtests) -> None:
    """Its date, else its days, in whatever form they come; nothing in the answer is required."""
    for data, outcome, words in (
        ({"expire_at": "2027/02/23 12:41:52 -0600"}, OK, "expires on 2027-02-23, in 91 days"),
        ({"expire_at": "2027-02-21T00:00:00Z"}, WARN, "within 90 days"),
        ({"days_until_expiration": 29}, WARN, "within 30 days"),
        ({"days_until_expiration": 14}, WARN, "within 14 days"),
        ({"days_until_expiration": "3"}, WARN, "within 3 days"),
        ({"expire_at": "2026-11-24T01:59:59Z", "days_until_expiration": 300}, FAIL, "expired on 2026-11-24"),
        ({"expire_at": "never"}, OK, "no expiration date reported"),
        ({}, OK, "no expiration date reported"),
    ):
        with subtests.test(data=data, outcome=outcome):
            row = licensed(**data)["license"]
            assert (row.outcome, words in row.seen) == (outcome, True)
            assert row.code == (None if outcome is OK else Code.LICENSE_EXPIRING)


def test_seats_left(subtests: pytest.Subtests) -> None:
    """Fewer than one in twenty is a warning; without a number of seats there is no limit."""
    for data, outcome, words in (
        ({"seats": 1000, "seats_used": 950}, OK, "50 of 1,000 left"),
        ({"seats": "1000", "seats_used": 951}, WARN, "fewer than 5% of 1,000 left"),
        ({"seats": 1000, "seats_used": 1000}, WARN, "none of 1,000 left"),
        ({"seats": 1000, "seats_used": 1200}, WARN, "none of 1,000 left"),
        ({"seats": "unlimited", "seats_used": 1200}, OK, "1,200 seats used; no limit reported"),
        ({}, OK, "seat count not reported"),
    ):
        with subtests.test(data=data, outcome=outcome):
            row = licensed(**data)["seats"]
            assert (row.outcome, words in row.seen) == (outcome, True)
            assert row.code == (None if outcome is OK else Code.SEATS_LOW)


def test_a_license_file_that_is_older_than_a_purchase(subtests: pytest.Subtests) -> None:
    """It is told where both numbers are known: an unlimited file, and an account without purchased seats, cannot be older."""
    for seats, purchased, outcome in (
        (2000, 2001, WARN),
        (2000, 2000, OK),
        (2500, 2000, OK),
        (None, 2000, None),
        (2000, None, None),
        (2000, 0, None),
    ):
        with subtests.test(seats=seats, purchased=purchased):
            row = license_file_row(EMEA, seats, purchased)
            assert (row and row.outcome) == outcome
            if row is not None and outcome is WARN:
                assert (row.code, "2,000 seats" in row.seen, "2,001" in row.seen) == (Code.OLD_LICENSE_FILE, True, True)


def test_seats_of_the_cloud_account() -> None:
    """More used than purchased is legal, and a warning; an unknown number is said to be unknown; without purchases there is no limit."""
    row = seats_row(EMEA, SeatTotals(consumed=5000, purchased=4500))
    assert (row.outcome, row.code) == (Outcome.WARN, Code.SEATS_EXCEEDED)
    assert row.seen == "5,000 consumed of 4,500 purchased: the cloud account consumes 500 more seats than were purchased"
    assert "purchase more seats" in row.fix
    assert seats_row(EMEA, SeatTotals(consumed=4500, purchased=4500)) == EMEA.ok("seats", "4,500 consumed of 4,500 purchased")
    metered = seats_row(EMEA, SeatTotals(consumed=7, purchased=0))
    assert metered == EMEA.ok("seats", "7 consumed, none purchased: usage-based billing; billable licenses can be more")
    assert seats_row(EMEA, SeatTotals(consumed=1, purchased=None)).seen == "1 consumed of an unknown number purchased"


# ---------------------------------------------------------------- releases

GITHUB = CloudAccount(at=Destination(url="https://api.github.com"), enterprise="octo")
GHE_COM = replace(GITHUB, at=Destination(url="https://api.octo.ghe.com"))
SSH = SshSource(host="ghes.example.com", known_hosts=Path("/etc/licsync/known_hosts"))
OLD_SSH = replace(SSH, command=("ghe-license-usage",))
CONNECT, MANUAL = ConnectDelivery(), ManualDelivery()


def gated(version: str | None, cloud: CloudAccount = GITHUB, **instance: Any) -> list[tuple[Outcome, str]]:
    about: Instance = an_instance(**instance)
    return [(row.outcome, row.seen) for row in version_rows(EMEA, version, about, cloud)]


def test_versions(subtests: pytest.Subtests) -> None:
    """The first two numbers count, as numbers; what is no version is none."""
    for text, version in (
        ("3.19.2", (3, 19)),
        ("3.9", (3, 9)),
        ("3.20.0.rc1", (3, 20)),
        (None, None),
        ("", None),
        ("3", None),
        ("three", None),
        ("3.1x", None),
    ):
        with subtests.test(text=text, version=version):
            assert version_of(text) == version


def test_only_the_gates_of_what_is_configured(subtests: pytest.Subtests) -> None:
    """Each gate closes just below its release, and only for who goes through it."""
    for version, instance, cloud, outcome, words in (
        ("3.12.9", {"source": SSH, "delivery": MANUAL}, GITHUB, FAIL, "does not have `ghe-license usage` yet"),
        ("3.13.0", {"source": SSH, "delivery": MANUAL}, GITHUB, OK, "GitHub Enterprise Server 3.13.0"),
        ("3.12.9", {"source": OLD_SSH, "delivery": MANUAL}, GITHUB, OK, "3.12.9"),
        ("3.13.0", {"source": OLD_SSH, "delivery": MANUAL}, GITHUB, FAIL, "no longer has `ghe-license-usage`"),
        ("3.11.9", {"source": OLD_SSH, "delivery": MANUAL}, GITHUB, WARN, "Advanced Security licenses only from 3.12 on"),
        ("3.11.9", {"source": NoSource(), "delivery": CONNECT}, GITHUB, WARN, "Advanced Security licenses only from 3.12 on"),
        ("3.11.9", {}, GITHUB, OK, "3.11.9"),
        ("3.14.9", {"source": NoSource(), "delivery": CONNECT}, GHE_COM, FAIL, "that requires 3.15"),
        ("3.15.0", {"source": NoSource(), "delivery": CONNECT}, GHE_COM, OK, "3.15.0"),
        ("3.14.9", {"source": NoSource(), "delivery": CONNECT}, GITHUB, OK, "3.14.9"),
        ("3.14.9", {}, GHE_COM, OK, "3.14.9"),
        (None, {}, GITHUB, OK, "not reported"),
    ):
        with subtests.test(version=version, instance=instance):
            (row,) = gated(version, cloud, **instance)
            assert (row[0], words in row[1]) == (outcome, True)


def test_usage_based_billing(subtests: pytest.Subtests) -> None:
    """An account that has purchased nothing requires 3.13 and GitHub Connect: each is a warning of its own."""
    http = HttpDelivery(at=Destination(url="https://relay.example.com/uploads"))
    for version, delivery, purchased, told in (
        ("3.12.9", CONNECT, 0, ["version"]),
        ("3.12.9", MANUAL, 0, ["version", "billing"]),
        ("3.13.0", CONNECT, 0, []),
        ("3.13.0", MANUAL, 0, ["billing"]),
        ("3.13.0", http, 0, ["billing"]),
        ("3.12.9", MANUAL, 100, []),
        ("3.12.9", MANUAL, None, []),
        (None, CONNECT, 0, []),
        (None, MANUAL, 0, ["billing"]),
        (None, http, 0, ["billing"]),
    ):
        with subtests.test(version=version, delivery=delivery, purchased=purchased):
            rows = list(metered_rows(EMEA, version, delivery, purchased))
            assert [(row.test, row.outcome) for row in rows] == [(test, WARN) for test in told]
            assert [row for row in rows if row.test == "billing" and "*Enable GitHub Connect*" not in row.fix] == []


def test_no_verified_domain_is_a_warning_except_with_managed_users(subtests: pytest.Subtests) -> None:
    """GitHub recommends them to everybody without managed users, whose logins alone have an underscore."""
    for configured, people, outcome, words in (
        ((), (), WARN, "not configured; 0 found"),
        ((), (a_person("octocat"),), WARN, "not configured; 0 found"),
        ((), (a_person("octocat"), a_person("mona_octo")), WARN, "not configured; 0 found"),
        ((), (a_person(""),), WARN, "not configured; 0 found"),
        ((), (a_person("mona_octo"), a_person("")), OK, "not required with managed users"),
        ((), (a_person("octocat", "o@Example.com"),), OK, "not configured; 1 found"),
        (("example.com",), (a_person("octocat"),), OK, "1 configured"),
    ):
        with subtests.test(configured=configured, people=[one.login for one in people]):
            row = domains_row(EMEA, configured, people)
            assert (row.outcome, words in row.seen) == (outcome, True)
            assert ("*Verified & approved domains*" in row.fix) is (outcome is WARN)


def a_person(login: str, *verified: str) -> Person:
    return Person(
        login=login, saml_name_id="", server_accounts=(), server_emails=(), verified_emails=verified, license_type="", total_accounts=1
    )
