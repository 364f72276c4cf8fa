"""What an instance's report and API may hold that surprises: the rows of edge data that are seen best through the whole source."""

import asyncio
import json
from pathlib import Path

import pytest

from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.http.wire import basic
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import Destination, Guards, ReportSource, SshSource
from licsync_daemon.model.run import Changes
from licsync_daemon.model.usage import Collected, ServerIdentity, UsageCounts
from licsync_daemon.rules.digests import compare, digest_of
from licsync_daemon.rules.guard import Neighbor, guard_identity, guard_usage, notices
from licsync_daemon.settings import load_config
from licsync_daemon.sources.report import ReportUsageSource
from licsync_daemon.state.document import write_document
from licsync_daemon.state.spool import AccountSpool
from tests.contract.loopback import Server, answer, packed, serving
from tests.fakes import T0, FakeClock, Waits, a_status, an_account

HEADER = (
    "created_at,id,login,email,role,suspended?,last_logged_ip,repos,ssh_keys,org_memberships,dormant?,last_active,raw_login,2fa_enabled?"
)
REPORT = "/stafftools/reports/all_users.csv"
LICENSE = {"seats": 1400, "seats_used": 3}


def row(number: int, login: str = "mona", email: str = "mona@example.com", raw_login: str = "", active: str = "2026-11-20") -> str:
    return f"2020-01-01 00:00:00 UTC,{number},{login},{email},user,false,10.0.0.1,0,0,0,false,{active},{raw_login},true"


def csv(*rows: str, end: str = "\n", start: str = "") -> bytes:
    return answer(body=(start + end.join([HEADER, *rows, ""])).encode(), content_type="text/csv; charset=utf-8")


STATS = answer(body=b'{"total_users": 3, "admin_users": 1, "suspended_users": 0}')


def collected(
    tmp_path: Path, *reports: bytes, license_: object = None, stats: bytes = STATS
) -> tuple[Collected | RunError, list[tuple[int, str]], FakeClock]:
    """Collect from an instance whose report follows a script; answer what came of it, the accounts sent, and the clock."""
    clock = FakeClock()

    def script(server: Server) -> None:
        server.on("/api/v3/meta", answer(body=b'{"installed_version": "3.19.2"}'))
        server.on("/api/v3/enterprise/stats/users", stats)
        server.on("/api/v3/enterprise/settings/license", answer(body=json.dumps(LICENSE if license_ is None else license_).encode()))
        server.on(REPORT, *reports)

    async def main() -> tuple[Collected | RunError, list[tuple[int, str]], FakeClock]:
        async with serving() as server:
            script(server)
            at = Destination(url=server.url)
            client = HttpClient(to=at, side=Side.INSTANCE, authorization=lambda: basic("reader", "secret"))
            async with client:
                source = ReportUsageSource(ReportSource(at=at, username="reader"), client, Retrier(clock, Waits()), clock)
                with AccountSpool(tmp_path) as spool:
                    try:
                        found: Collected | RunError = await source.collect(spool)
                    except RunError as error:
                        return error, [], clock
                    return found, [(account.id, account.email) for account in spool.active()], clock

    return asyncio.run(main())


def test_row_13_two_accounts_of_one_login_are_two(tmp_path: Path) -> None:
    """Accounts are told apart by their number; a login never is a key."""
    _, accounts, _ = collected(tmp_path, csv(row(1, "mona", "a@x.com"), row(2, "mona", "b@x.com")))
    assert accounts == [(1, "a@x.com"), (2, "b@x.com")]


def test_row_18_ghost_is_left_out_and_machine_accounts_are_sent_as_they_are_listed(tmp_path: Path) -> None:
    """The built-in account consumes no license, which a notice says; everything else is sent, and one above its seats holds nothing."""
    found, accounts, _ = collected(tmp_path, csv(row(1, "ghost", ""), row(2, "dependabot[bot]", ""), row(3), row(4, "octo-org", "")))
    assert isinstance(found, Collected)
    assert len(accounts) == 3
    assert (found.counts.rows, found.counts.sent, found.counts.without_address) == (4, 3, 2)
    assert Code.GHOST_LEFT_OUT in {one.code for one in found.notices}
    assert guard_usage(found.counts, None, Guards(), newest_activity=found.newest_activity, now=T0) == ()


@pytest.mark.parametrize(("license_", "seats"), [(LICENSE, 3), ([LICENSE], 3)], ids=["object", "list of one"])
def test_row_23_an_object_or_a_list_of_one(tmp_path: Path, license_: object, seats: int) -> None:
    """Published examples of GitHub's license answers have both."""
    found, _, _ = collected(tmp_path, csv(row(1)), license_=license_)
    assert isinstance(found, Collected)
    assert found.counts.seats_used == seats


@pytest.mark.parametrize("license_", [[], [LICENSE, LICENSE], [1]], ids=str)
def test_row_23_other_lists_are_no_license(tmp_path: Path, license_: object) -> None:
    """Which of several would be meant is not guessed."""
    found, _, _ = collected(tmp_path, csv(row(1)), license_=license_)
    assert isinstance(found, RunError)
    assert found.code is Code.BAD_RESPONSE


def test_row_27_two_instances_with_one_server_id_are_never_both_synced() -> None:
    """A restored copy is held and its twin named."""
    me, twin = ServerIdentity(hostname="ghes.example.com", server_id="same"), ServerIdentity(hostname="copy.example.com", server_id="same")
    (tripped,) = guard_identity(me, None, [Neighbor(name="copy", identity=twin)], a_status())
    assert (tripped.code, tripped.subject) == (Code.SERVER_ID_SHARED, "copy")


def test_row_31_a_report_that_takes_long_and_is_old_when_it_comes(tmp_path: Path) -> None:
    """202 is asked about ever more slowly; the age of a cached report shows in its newest activity."""
    found, accounts, clock = collected(
        tmp_path, *[answer(202, b"")] * 8, csv(row(1, active="2026-11-01"), row(2, active="2026-10-01"), row(3, active="2026-10-01"))
    )
    assert isinstance(found, Collected)
    assert len(accounts) == 3
    assert len(clock.slept) == 8
    assert clock.slept == sorted(clock.slept)
    assert max(clock.slept) <= 30
    tripped = guard_usage(found.counts, None, Guards(), newest_activity=found.newest_activity, now=T0)
    assert [one.code for one in tripped] == [Code.STALE_USAGE]  # its newest activity is 23 days old


@pytest.mark.parametrize(
    "page",
    [
        answer(body=b"<!DOCTYPE html><html>Sign in</html>", content_type="text/html; charset=utf-8", x_github_request_id="A:B"),
        answer(body=b"<!DOCTYPE html><html>Sign in</html>", content_type="text/html; charset=utf-8"),  # of something in between
        answer(body=b"<!DOCTYPE html><html>Sign in to GitHub</html>", content_type="text/csv"),
        answer(302, b"", location="/login?return_to=x"),
    ],
    ids=["as a page", "in between", "as CSV", "behind a redirect"],
)
def test_row_32_a_page_instead_of_the_report(tmp_path: Path, page: bytes) -> None:
    """A sign-in page is no empty report."""
    found, _, _ = collected(tmp_path, page)
    assert isinstance(found, RunError)
    assert found.code in {Code.REPORT_NOT_CSV, Code.REPORT_HEADER_CHANGED, Code.NOT_FOUND, Code.BAD_RESPONSE}


def test_row_35_a_login_renamed_between_two_reads_changes_nothing(tmp_path: Path) -> None:
    """Neither the comparison nor the content hash sees a login."""
    before, after = an_account(1, login="mona"), an_account(1, login="lisa")
    hashes = set()
    for account in (before, after):
        with AccountSpool(tmp_path) as spool:
            spool.add([account])
            with write_document(
                spool,
                directory=tmp_path,
                identity=ServerIdentity(hostname="h", server_id="s"),
                collected_at=T0,
                version=None,
                http_only=False,
                counts=UsageCounts(sent=1, rows=1),
            ) as document:
                hashes.add(document.content_hash)
    assert compare(iter([digest_of(before, b"k")]), iter([digest_of(after, b"k")])) == Changes()
    assert len(hashes) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "BOM"])
def test_row_36_json_in_a_cell_a_byte_order_mark_and_line_ends(tmp_path: Path, start: str, end: str) -> None:
    """`raw_login` holds JSON with commas, quotes and line breaks; none of it is a new row."""
    raw = '"{""name"": ""a,b"",\n ""note"": ""\r\n5,ghost,""}"'
    found, accounts, _ = collected(tmp_path, csv(row(1, raw_login=raw), row(2, email="b@x.com"), start=start, end=end))
    assert isinstance(found, Collected)
    assert accounts == [(1, "mona@example.com"), (2, "b@x.com")]
    assert found.counts.unusable == 0


@pytest.mark.parametrize(
    ("line", "command"),
    [("", ("ghe-license", "usage")), ('command = ["ghe-license-usage"]', ("ghe-license-usage",))],
    ids=["3.13 and later", "up to 3.12"],
)
def test_row_38_the_command_depends_on_the_release(tmp_path: Path, line: str, command: tuple[str, ...]) -> None:
    """The newer name is the default, and the older one is one line of configuration."""
    hosts, config = tmp_path / "known_hosts", tmp_path / "config.toml"
    hosts.write_text("")
    config.write_text(
        f'[cloud]\nenterprise = "octo"\n[instances.emea]\nhostname = "ghes.example.com"\ndelivery = {{ kind = "manual", outbox = {{ path = "{tmp_path}" }} }}\n'
        f'[instances.emea.source]\nkind = "ssh"\nknown_hosts = "{hosts}"\n{line}\n'
    )
    (instance,) = load_config(config, {}).config.instances
    assert isinstance(instance.source, SshSource)
    assert instance.source.command == command


def test_row_41_accounts_that_never_signed_in_are_a_notice(tmp_path: Path) -> None:
    """They are listed and cost no license there, so more accounts than used seats are told and hold nothing."""
    found, _, _ = collected(tmp_path, csv(*(row(n) for n in range(1, 9))))
    assert isinstance(found, Collected)
    assert (found.counts.sent, found.counts.seats_used) == (8, 3)
    assert guard_usage(found.counts, None, Guards(), newest_activity=T0, now=T0) == ()
    assert [one.code for one in notices(found.counts, T0)] == [Code.ABOVE_SEATS]


WHOLE = (HEADER + "\n" + row(1) + "\n" + row(2) + "\n").encode()


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (answer(body=WHOLE, content_length="", connection="close"), Code.REPORT_TRUNCATED),
        (answer(body=packed(WHOLE), content_length="", connection="close", content_encoding="gzip"), None),
        (answer(body=WHOLE), None),
        (answer(body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(WHOLE), WHOLE), content_length="", transfer_encoding="chunked"), None),
    ],
    ids=["until the connection ends", "gzip", "a length", "chunks"],
)
def test_a_report_without_an_end_is_incomplete(tmp_path: Path, report: bytes, code: Code | None) -> None:
    """A body that ends with the connection may be cut where a row ends; a length, a last chunk, and a whole gzip show the end."""

    async def once(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(report)
        await writer.drain()
        if b"connection: close" in report:
            writer.close()

    found, _, _ = collected(tmp_path, once)  # type: ignore[arg-type]

    assert (found.code if isinstance(found, RunError) else None) is code


@pytest.mark.parametrize("stats", [answer(504), answer(502), answer(500)])
def test_an_instance_too_large_to_count_its_users_is_read_all_the_same(tmp_path: Path, stats: bytes) -> None:
    """A known issue of GHES 3.20 and 3.21: the report is what counts, and a notice says that its completeness cannot be checked."""
    found, accounts, _ = collected(tmp_path, csv(row(1), row(2)), stats=stats)

    assert isinstance(found, Collected)
    assert (len(accounts), found.counts.total_users) == (2, None)
    assert [one.code for one in found.notices] == [Code.TOTAL_UNKNOWN]


@pytest.mark.parametrize(
    ("stats", "code"), [(answer(503), Code.MAINTENANCE), (answer(404), Code.NOT_FOUND), (answer(401), Code.UNAUTHORIZED)]
)
def test_other_refusals_to_count_are_failures(tmp_path: Path, stats: bytes, code: Code) -> None:
    found, _, _ = collected(tmp_path, csv(row(1)), stats=stats)

    assert isinstance(found, RunError)
    assert found.code is code
