"""The whole preflight on a practice fleet: what each fault there comes to, and that nothing but questions leaves the machine."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import CloudAccount, Config, Destination, MailNotifier, WebhookNotifier
from licsync_daemon.monitoring.preflight import run as module
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome
from licsync_daemon.monitoring.preflight.run import preflight
from licsync_daemon.practice.sandbox.box import Sandbox
from licsync_daemon.practice.sandbox.faults import Fault
from licsync_daemon.practice.sandbox.limits import RateLimit
from tests.contract.smtp_server import Mailbox, mail_server
from tests.integration.support import UPLOADS, Practice

OK, WARN, FAIL = Outcome.OK, Outcome.WARN, Outcome.FAIL
Bad = set[tuple[str, str, Outcome, Code | None]]


def rows_of(practice: Practice, config: Config | None = None, **more: object) -> tuple[CheckRow, ...]:
    return asyncio.run(preflight(config or practice.config, {}, practice.clock, **more))  # type: ignore[arg-type]


def bad(rows: tuple[CheckRow, ...]) -> Bad:
    return {(row.place, row.test, row.outcome, row.code) for row in rows if row.outcome is not OK}


def seen(rows: tuple[CheckRow, ...], place: str, test: str) -> str:
    return next(row.seen for row in rows if (row.place, row.test) == (place, test))


def test_a_healthy_fleet(practice: Practice) -> None:
    """Every row is ok, by place; only questions were asked, none of a report, and nothing is recorded."""
    told: list[tuple[int, int]] = []
    rows = rows_of(practice, report=lambda done, of: told.append((done, of)))

    assert bad(rows) == set()
    places = list(dict.fromkeys(row.place for row in rows))
    assert places == ["this machine", "cloud", "instance emea", "instance amer", "delivery of emea and 1 more"]
    assert {row.instance for row in rows if row.place == "instance emea"} == {"emea"}
    assert [row.place for row in rows] == sorted((row.place for row in rows), key=places.index)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert {one.method for one in practice.box.requests} == {"GET"}
    assert practice.asked("emea", "/stafftools") == []
    assert [one.path for one in practice.box.requests if one.path.startswith(UPLOADS)] == [UPLOADS]
    assert not practice.state_dir.exists()


def test_offline_no_server_is_contacted(practice: Practice) -> None:
    """Then only this machine has rows."""
    rows = rows_of(practice, offline=True)
    assert {row.place for row in rows} == {"this machine"}
    assert list(practice.box.requests) == []


def _revoked(box: Sandbox) -> None:
    box.cloud_app.token = replace(box.cloud_app.token, value="ghp_" + "y" * 36)


def _token(**changes: object) -> Callable[[Sandbox], None]:
    def change(box: Sandbox) -> None:
        box.cloud_app.token = replace(box.cloud_app.token, **changes)  # type: ignore[arg-type]

    return change


def _ends(box: Sandbox) -> None:
    box.cloud_app.token = replace(box.cloud_app.token, expires_at=box.clock.now + timedelta(days=6))


def _used_up(box: Sandbox) -> None:
    box.cloud_app.rate_limit = RateLimit(box.clock, 0)


def _nearly_used_up(box: Sandbox) -> None:
    box.cloud_app.rate_limit = RateLimit(box.clock, 50)


def _deprecated(box: Sandbox) -> None:
    box.cloud_app.extra_headers = (("Deprecation", "@1"), ("Sunset", "Sat, 01 May 2027 00:00:00 GMT"))


def _no_user(box: Sandbox) -> None:
    box.faults.add(Fault("cloud", "/user", "status", status=403, body=b'{"message": "Resource not accessible by integration"}'))


def _listed_by_nobody(box: Sandbox) -> None:
    box.cloud.list_server("another-id", "ghes-other.example.com")


CLOUD_FAULTS: dict[str, tuple[Callable[[Sandbox], None], Bad]] = {
    "revoked token": (_revoked, {("cloud", "token", FAIL, Code.UNAUTHORIZED)}),
    "scope missing": (
        _token(scopes=("repo",)),
        {("cloud", "enterprise", FAIL, Code.NOT_FOUND), ("cloud", "scopes", FAIL, Code.SCOPE_MISSING)},
    ),
    "too many scopes": (_token(scopes=("read:enterprise", "repo")), {("cloud", "scopes", WARN, None)}),
    "no owner": (_token(owner=False), {("cloud", "enterprise", FAIL, Code.NOT_FOUND)}),
    "no single sign-on": (
        _token(sso=False),
        {("cloud", "enterprise", FAIL, Code.FORBIDDEN), ("cloud", "single sign-on", FAIL, Code.FORBIDDEN)},
    ),
    "token ends": (_ends, {("cloud", "expiry", WARN, Code.CREDENTIAL_EXPIRING)}),
    "rate limit used up": (_used_up, {("cloud", "token", WARN, None)}),
    "rate limit nearly used up": (_nearly_used_up, {("cloud", "rate limit", WARN, None)}),
    "deprecated": (_deprecated, {("cloud", "interface", WARN, Code.API_DEPRECATED)}),
    "a token of no user": (_no_user, set()),
    "a fine-grained token that may": (_token(scopes=None), set()),
    "a fine-grained token that may not": (_token(scopes=None, owner=False), {("cloud", "enterprise", FAIL, Code.NOT_FOUND)}),
    "a server of nobody": (_listed_by_nobody, {("cloud", "servers", WARN, None)}),
}


@pytest.mark.parametrize("fault", CLOUD_FAULTS)
def test_faults_of_the_cloud(practice: Practice, fault: str) -> None:
    """Each is reported by its own row only; the instances are still tested."""
    play, expected = CLOUD_FAULTS[fault]
    play(practice.box)

    rows = rows_of(practice)

    assert bad(rows) == expected
    assert seen(rows, "instance amer", "site administrator") == "the token's owner is a site administrator"


def _ordinary(practice: Practice) -> None:
    box, name = practice.box, "instances__emea__source__token"
    (practice.folder / "credentials" / name).write_text(box.instances["emea"].ordinary_token)
    box.instances["emea"].username, box.instances["emea"].ordinary_username = "boss", "license-reader"


def _gone(practice: Practice) -> None:
    practice.box.instances["emea"].token = "ghp_" + "y" * 36


def _runs_out(practice: Practice) -> None:
    practice.box.instances["emea"].license_ends_in = 20


def _old_file(practice: Practice) -> None:
    for instance in practice.box.instances.values():
        instance.seats_bought = practice.box.fleet.seats_purchased - 1


def _maintained(practice: Practice) -> None:
    practice.box.faults.add(Fault("emea", "/", "maintenance"))


def _other_version(practice: Practice) -> None:
    practice.box.instances["emea"].version = "3.11.9"
    practice.override(instances__emea__delivery__kind="connect")


def _closed(practice: Practice) -> None:
    practice.override(instances__emea__url="http://127.0.0.1:1")


EMEA_FAULTS: dict[str, tuple[Callable[[Practice], None], Bad]] = {
    "not a site administrator": (_ordinary, {("instance emea", "site administrator", FAIL, Code.NOT_FOUND)}),
    "a closed port": (_closed, {("instance emea", "connection", FAIL, Code.UNREACHABLE)}),
    "revoked token": (_gone, {("instance emea", "token", FAIL, Code.UNAUTHORIZED)}),
    "license ends": (_runs_out, {("instance emea", "license", WARN, Code.LICENSE_EXPIRING)}),
    "old license file": (
        _old_file,
        {("instance amer", "license file", WARN, Code.OLD_LICENSE_FILE)},  # emea's seats are "unlimited"
    ),
    "maintenance": (_maintained, {("instance emea", "token", WARN, None)}),
    "old release under GitHub Connect": (
        _other_version,
        {("instance emea", "version", WARN, Code.GHES_VERSION), ("instance emea", "listed", WARN, None)},
    ),
}


@pytest.mark.parametrize("fault", EMEA_FAULTS)
def test_faults_of_an_instance(practice: Practice, fault: str) -> None:
    """Each is reported by its own row only."""
    play, expected = EMEA_FAULTS[fault]
    play(practice)

    assert bad(rows_of(practice)) == expected


def test_a_forbidden_response_lists_its_candidates(practice: Practice) -> None:
    """The next step names them in order of likelihood; a token without scopes gets an extra hint."""
    practice.box.faults.add(Fault("cloud", "/enterprises/", "status", status=403, body=b'{"message": "no"}'))
    row = next(one for one in rows_of(practice) if one.test == "enterprise")
    assert (row.code, '"no"' in row.seen) == (Code.FORBIDDEN, True)
    words = ("allow list", "SSO", "classic tokens", "enterprise owner")
    assert [row.fix.index(word) for word in words] == sorted(row.fix.index(word) for word in words)
    assert "reports no scopes" not in row.fix


def test_a_fine_grained_token_is_tried(practice: Practice) -> None:
    """Its prefix says nothing; where it may not, the next step names the kind of token that GitHub documents."""
    token = "github_pat_" + "a1B2_" * 16
    practice.box.cloud_app.token = replace(practice.box.cloud_app.token, value=token, scopes=None, owner=False)
    (practice.folder / "credentials" / "cloud__token").write_text(token)
    rows = rows_of(practice)
    row = next(one for one in rows if one.test == "enterprise")
    assert (seen(rows, "cloud", "token"), "is read with a classic token" in row.fix) == (
        "belongs to octo-owner",
        True,
    )


@pytest.mark.parametrize(("minutes", "outcome"), [(3, WARN), (10, FAIL), (-10, FAIL)])
def test_a_clock_that_differs(practice: Practice, minutes: int, outcome: Outcome) -> None:
    """Every server that sends its time shows it."""
    practice.box.clock.set(practice.clock.now() + timedelta(minutes=minutes))

    clocks = {(place, one) for place, test, one, code in bad(rows_of(practice)) if (test, code) == ("clock", Code.CLOCK_WRONG)}

    assert clocks == {(place, outcome) for place in ("cloud", "instance emea", "instance amer")}


def test_a_token_of_a_delivery_that_is_not_accepted(practice: Practice) -> None:
    """It is a failure: the next upload would be refused."""
    practice.box.delivery_app.token = "another"
    assert bad(rows_of(practice)) == {("delivery of emea and 1 more", "endpoint", FAIL, Code.UNAUTHORIZED)}


def test_an_air_gapped_instance_is_not_contacted(practice: Practice) -> None:
    """An air-gapped instance is never contacted, and a row says so; nor is a disabled one."""
    config = practice.config
    emea, amer = (replace(one, reachable=False, enabled=one.name == "emea") for one in config.instances)

    rows = rows_of(practice, replace(config, instances=(emea, amer)))

    assert practice.asked("emea") == practice.asked("amer") == []
    assert seen(rows, "instance emea", "network") == "not tested: reachable = false"
    assert seen(rows, "instance amer", "not tested") == "disabled"


def test_a_dead_instance_delays_no_other(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never responds is given up after its time limit; its earlier rows stay, and the others are complete."""
    monkeypatch.setattr(module, "WITHIN_S", 3.0)
    practice.box.faults.add(Fault("emea", "/api/v3/meta", "hang"))
    began, done_s = time.monotonic(), list[float]()

    rows = rows_of(practice, report=lambda _done, _of: done_s.append(time.monotonic() - began))

    assert done_s[2] < 3.0 <= done_s[3]
    assert bad(rows) == {("instance emea", "time", FAIL, Code.TIMEOUT)}
    assert seen(rows, "instance emea", "token") == "belongs to license-reader"
    assert seen(rows, "instance amer", "site administrator") == "the token's owner is a site administrator"


def test_a_test_that_breaks_is_a_row_of_its_place(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error in one place is reported there, and the others are tested."""

    def broken(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr("licsync_daemon.monitoring.preflight.cloud.seats_row", broken)
    assert bad(rows_of(practice)) == {("cloud", "test", FAIL, Code.INTERNAL)}


def test_an_organization(practice: Practice) -> None:
    """Its plan is what is read; nothing is said of the enterprise's scope."""
    config = practice.config
    cloud = CloudAccount(at=config.cloud.at, organization=config.cloud.enterprise)

    rows = rows_of(practice, replace(config, cloud=cloud))

    assert bad(rows) == set()
    assert "purchased" in seen(rows, "cloud", "seats")
    assert {"scopes", "enterprise"} & {row.test for row in rows if row.place == "cloud"} == set()


def test_notifiers_are_reached_without_a_message(practice: Practice) -> None:
    """A webhook is connected to, and a login at the mail server succeeds; no message is sent."""
    config, box = practice.config, Mailbox()
    dead = WebhookNotifier(at=Destination(url="http://127.0.0.1:1/hook", token=("notify__webhook__token",)))

    async def main() -> tuple[CheckRow, ...]:
        async with mail_server(box):
            mail = MailNotifier(host="127.0.0.1", port=box.port, security="none", sender="a@example.com", to=("b@example.com",))
            return await preflight(replace(config, notify=(mail, dead)), {}, practice.clock)

    rows = asyncio.run(main())

    assert bad(rows) == {("notify webhook", "connection", FAIL, Code.UNREACHABLE)}
    assert seen(rows, "notify mail", "connection") == f"127.0.0.1:{box.port} is reachable"
    assert seen(rows, "notify mail", "login") == "without TLS, no login configured; nothing was sent"
    assert (box.letters, [one for one in practice.box.requests if one.method != "GET"]) == ([], [])


def test_a_mail_server_that_does_not_let_us_in(practice: Practice) -> None:
    """It can be reached, and that is not enough."""
    config, box = practice.config, Mailbox()

    async def main() -> tuple[CheckRow, ...]:
        async with mail_server(box):
            mail = MailNotifier(host="127.0.0.1", port=box.port, security="starttls", sender="a@example.com", to=("b@example.com",))
            return await preflight(replace(config, notify=(mail,)), {}, practice.clock)

    assert bad(asyncio.run(main())) == {("notify mail", "login", FAIL, Code.TLS_FAILED)}


def test_the_certificate_behind_starttls(practice: Practice, tmp_path: Path) -> None:
    """Its issuer and remaining days are shown as for any other server, with an alert before it expires."""
    authority, now = trustme.CA(organization_name="Octo CA"), practice.clock.now()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=now + timedelta(days=10)).configure_cert(tls)
    box = Mailbox()

    async def main() -> tuple[CheckRow, ...]:
        async with mail_server(box, starttls=tls):
            mail = MailNotifier(
                host="localhost", port=box.port, sender="a@example.com", to=("b@example.com",), username="licsync",
                password=("notify__mail__password",), ca_file=tmp_path / "ca.pem",
            )  # fmt: skip
            environ = {"LICSYNC_NOTIFY__MAIL__PASSWORD": box.password}
            return await preflight(replace(practice.config, notify=(mail,)), environ, practice.clock)

    rows = asyncio.run(main())
    assert bad(rows) == {("notify mail", "certificate", WARN, Code.CERTIFICATE_EXPIRING)}
    assert "localhost, issued by Octo CA, expires within 14 days" in seen(rows, "notify mail", "certificate")
    assert seen(rows, "notify mail", "login") == "TLS by STARTTLS, login accepted; nothing was sent"
