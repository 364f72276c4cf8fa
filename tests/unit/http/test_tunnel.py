"""Connections through a proxy: how far one has come, and what a refusal means."""

import asyncio

import pytest

from licsync_daemon.http.tunnel import Tunnel, refusal_of_proxy, schemes

OFFERS = [
    (("Negotiate", "NTLM"), ("Negotiate", "NTLM")),
    (("Negotiate, NTLM",), ("Negotiate", "NTLM")),
    (('Basic realm="a, Digest b"', 'Digest realm="x", nonce="abc, NTLM", qop="auth"'), ("Basic", "Digest")),
    (('NTLM, Basic realm="x", Negotiate TlRMTVNTUAAC==',), ("NTLM", "Basic", "Negotiate")),
    (('Digest realm = "x", nonce = "y"',), ("Digest",)),
    ((" basic ",), ("basic",)),
    (("", ","), ()),
    ((), ()),
]


@pytest.mark.parametrize(("challenges", "found"), OFFERS)
def test_the_login_methods_that_a_proxy_offers(challenges: tuple[str, ...], found: tuple[str, ...]) -> None:
    """Of one header with several, of several headers, with and without parameters."""
    assert schemes(challenges) == found


@pytest.mark.parametrize(
    ("said", "challenges", "has_login", "cause", "step"),
    [
        ("407 Login", ["Negotiate", "NTLM"], True, "by Negotiate or NTLM (407 Login), and licsync-daemon logs in by Basic only", "no user name"),
        ("407 Login", ['Digest realm="x"'], False, "by Digest (407 Login)", "without a login"),
        ("407 Login", ["NTLM", "Basic"], True, "did not accept the login; it offers NTLM or Basic", "check USER:PASSWORD in the credential x"),
        ("407 Login", ["Basic"], False, "requires a login by Basic", "put USER:PASSWORD into the credential x"),
        ("407 Login", [], False, "by a method that it does not name", "put USER:PASSWORD into the credential x"),
        ("403 Forbidden", [], True, "refused the connection (403 Forbidden)", "the rules of the proxy"),
    ],
)  # fmt: skip
def test_what_a_refusal_means(said: str, challenges: list[str], has_login: bool, cause: str, step: str) -> None:
    """A login that cannot help is not asked for; the methods are named."""
    meaning = refusal_of_proxy(said, challenges, has_login=has_login, credential="the credential x")
    assert (cause in meaning.cause, step in meaning.next_step) == (True, True), meaning


def test_a_connection_is_the_proxys_until_tls_with_the_destination_begins() -> None:
    """A connection that is used again has no such events: it is open."""

    async def main() -> list[bool]:
        tunnel, seen = Tunnel(), []
        for event in ("connection.connect_tcp.started", "http11.send_request_headers.started", "proxy.start_tls.started"):
            seen.append(tunnel.is_open)
            await tunnel(event, {})
        return [*seen, tunnel.is_open]

    assert asyncio.run(main()) == [True, False, False, True]
