"""What the reachability of a destination means: routes, and a row for each step up to the first that failed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.http.handshake import Meaning
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Destination
from licsync_daemon.monitoring.preflight.certificates import Certificate
from licsync_daemon.monitoring.preflight.judge_network import reachability_rows
from licsync_daemon.monitoring.preflight.network import Hop, Reachability, Refused, Route, route_of
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, Place
from tests.fakes import T0

PLACE = Place("instance emea", "emea")
HOST = "ghes.example.com"
DIRECT = Route(to=Hop(HOST, 443, secure=True))
PROXIED = Route(to=Hop(HOST, 443, secure=True), proxy=Hop("proxy.example.com", 3128, secure=False))
GOOD = Certificate("Example CA", T0 + timedelta(days=200), (HOST,))


def rows(route: Route, **facts: object) -> list[CheckRow]:
    reached = Reachability(**{"addresses": ("10.0.0.1",), **facts})  # type: ignore[arg-type]
    return list(reachability_rows(PLACE, route, reached, T0))


def last(route: Route, **facts: object) -> CheckRow:
    return rows(route, **facts)[-1]


# ---------------------------------------------------------------- routes


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HTTPS_PROXY", "http://mona:s%40cret@proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example.com")
    return


def test_a_direct_route() -> None:
    """Without a proxy the way is direct; the port is the scheme's unless one is given."""
    assert route_of(Destination(url=f"https://{HOST}")) == DIRECT
    assert route_of(Destination(url="http://127.0.0.1:8080/x")).to == Hop("127.0.0.1", 8080, secure=False)


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize(
    ("url", "ignored"),
    [(f"https://{HOST}", True), ("https://inside.example.com", False), ("https://127.0.0.1:8443", False)],
    ids=["a proxy stands ready", "NO_PROXY", "this machine"],
)
def test_a_proxy_of_the_environment_that_is_not_used(url: str, ignored: bool) -> None:
    """It is noticed where the environment means this destination and nobody uses it."""
    assert route_of(Destination(url=url)).ignored is ignored


@pytest.mark.usefixtures("proxied")
def test_the_environments_proxy_is_used_where_that_is_configured() -> None:
    """With `env` it stands before the destination with the login it carries, and nothing is ignored."""
    route = route_of(Destination(url=f"https://{HOST}", proxy="env"), lambda: "nobody:x")
    assert (route.proxy, route.login, route.ignored) == (Hop("proxy.example.com", 3128, secure=False), "mona:s@cret", False)


def test_a_configured_proxy_takes_the_credential() -> None:
    """The proxy's login is the credential, since a configured address never carries one."""
    route = route_of(Destination(url=f"https://{HOST}", proxy="https://proxy.example.com"), lambda: "mona:x")
    assert (route.proxy, route.login) == (Hop("proxy.example.com", 443, secure=True), "mona:x")


def test_a_proxy_that_cannot_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of the environment with another scheme is refused, as the client refuses it."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example.com")
    with pytest.raises(ValueError, match="not the address of a proxy"):
        route_of(Destination(url=f"https://{HOST}", proxy="env"))


def test_the_route_is_told(subtests: pytest.Subtests) -> None:
    """Which proxy and whose authorities each destination has."""
    for route, words in (
        (DIRECT, "direct; trusts the CAs of the system"),
        (Route(to=DIRECT.to, ignored=True), "direct; HTTPS_PROXY is set but not used; trusts the CAs of the system"),
        (Route(to=DIRECT.to, ca_file=Path("/etc/ca.pem")), "direct; trusts /etc/ca.pem"),
        (PROXIED, "through the proxy proxy.example.com:3128; trusts the CAs of the system"),
        (Route(to=Hop("127.0.0.1", 80, secure=False)), "direct"),
    ):
        with subtests.test(route=route, words=words):
            assert rows(route, certificate=GOOD)[0] == PLACE.ok("route", words)


# ---------------------------------------------------------------- steps


def test_a_clear_way() -> None:
    """Each step that went well has its row."""
    assert [(row.test, row.outcome, row.seen) for row in rows(DIRECT, addresses=("10.0.0.1", "::1", "a", "b"), certificate=GOOD)][1:] == [
        ("name", Outcome.OK, "ghes.example.com resolves to 10.0.0.1, ::1, a and 1 more"),
        ("connection", Outcome.OK, "ghes.example.com:443 is reachable"),
        ("certificate", Outcome.OK, "the certificate of ghes.example.com, issued by Example CA, expires on 2027-06-12, in 200 days"),
    ]
    assert [row.test for row in rows(Route(to=Hop("10.0.0.1", 80, secure=False)))] == ["route", "connection"]


def test_nothing_is_told_after_a_step_that_failed() -> None:
    """What was not tried has no row."""
    assert [row.test for row in rows(DIRECT, addresses=(), unresolved="no response in time")] == ["route", "name"]
    assert [row.test for row in rows(DIRECT, unconnected="connection refused")] == ["route", "name", "connection"]
    assert [row.test for row in rows(PROXIED, unproxied=Meaning("the proxy requires a login by NTLM (407)", "ask"))] == [
        "route",
        "name",
        "connection",
    ]


def test_where_the_way_ends(subtests: pytest.Subtests) -> None:
    """It is said who did not answer, and what to look at."""
    for name, (route, facts, seen, fix) in {
        "name": (DIRECT, {"unresolved": "no response in time"}, "cannot resolve ghes.example.com: no response in time", "DNS servers"),
        "the proxy's name": (PROXIED, {"unresolved": "name or service not known"}, "cannot resolve proxy.example.com", "DNS servers"),
        "connection": (
            DIRECT,
            {"unconnected": "connection refused"},
            "cannot connect to ghes.example.com:443: connection refused",
            "ghes.example.com:443 is running",
        ),
        "the proxy's connection": (
            PROXIED,
            {"unconnected": "connection refused"},
            "cannot connect to the proxy proxy.example.com:3128: connection refused",
            "the proxy proxy.example.com:3128 is running",
        ),
        "the proxy's answer": (
            PROXIED,
            {"unproxied": Meaning("407 Login", "ask")},
            "no connection to ghes.example.com:443 through the proxy proxy.example.com:3128: 407 Login",
            "ask",
        ),
    }.items():
        with subtests.test(name):
            row = last(route, **facts)
            assert (row.outcome, row.code) == (Outcome.FAIL, Code.UNREACHABLE)
            assert seen in row.seen
            assert fix in row.fix


@pytest.mark.parametrize("facts", [{"unresolved": "x"}, {"unconnected": "x"}])
def test_an_unused_proxy_is_a_hint_where_the_direct_way_fails(facts: dict[str, str]) -> None:
    """Behind a firewall the environment's proxy is probably the way."""
    assert 'proxy = "env"' in last(Route(to=DIRECT.to, ignored=True), **facts).fix
    assert "env" not in last(DIRECT, **facts).fix


def test_days_left_of_a_certificate(subtests: pytest.Subtests) -> None:
    """It is told 30, 14, 7 and 1 days before."""
    for days, outcome, words in (
        (31, Outcome.OK, "in 31 days"),
        (29, Outcome.WARN, "within 30 days"),
        (13, Outcome.WARN, "14"),
        (6, Outcome.WARN, "7"),
        (1, Outcome.WARN, "1 day"),
    ):
        with subtests.test(days=days, outcome=outcome):
            row = last(DIRECT, certificate=Certificate("Example CA", T0 + timedelta(days=days), ()))
            assert (row.outcome, words in row.seen) == (outcome, True)
            assert row.code == (None if outcome is Outcome.OK else Code.CERTIFICATE_EXPIRING)


def test_a_certificate_that_is_not_accepted(subtests: pytest.Subtests) -> None:
    """What is wrong with it is said in words, with its issuer or its names where they could be read."""
    for code, shown, seen, fix in (
        (10, None, "has expired", "renew"),
        (9, None, "is not valid yet", "clock"),
        (
            62,
            ("a.example", "b.example", "c.example", "d.example"),
            "but for a.example, b.example, c.example and 1 more",
            "configure a name",
        ),
        (62, None, "the certificate is not for ghes.example.com", "configure a name"),
        (64, ("a.example",), "but for a.example", "configure a name"),
        (20, ("x",), "the certificate of ghes.example.com was issued by a CA (Corp CA) that this system does not trust", "`ca_file`"),
        (19, None, "this system does not trust", "`ca_file`"),
        (18, None, "this system does not trust", "`ca_file`"),
        (26, None, "was not accepted: unsuitable purpose", "check the certificate"),
        (85, None, "has no authority key identifier: unsuitable purpose", "reissue"),
        (89, None, "not as RFC 5280 requires", "reissue"),
        (67, None, "too weak", "reissue"),
        (None, None, "TLS with ghes.example.com failed: unsuitable purpose", "TLS 1.2"),
    ):
        with subtests.test(code=code, shown=shown):
            certificate = Certificate("Corp CA", T0, shown) if shown is not None else None
            row = last(DIRECT, refused=Refused("unsuitable purpose", code, certificate))
            assert (row.test, row.outcome, row.code) == ("certificate", Outcome.FAIL, Code.TLS_FAILED)
            assert seen in row.seen
            assert fix in row.fix


def test_the_authorities_that_do_not_trust_are_named() -> None:
    """Where an own file is configured, it is that file that lacks the issuer."""
    assert "/etc/ca.pem" in last(Route(to=DIRECT.to, ca_file=Path("/etc/ca.pem")), refused=Refused("x", 20)).seen
