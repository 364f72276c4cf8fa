"""Which destinations `NO_PROXY` excepts."""

import pytest

from licsync_daemon.http.no_proxy import is_excepted

EXCEPTED = [
    *[("10.1.2.3", one) for one in ("10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "10.1.2.3:443", "10.0.0.0/8:443", "0.0.0.0/0", "*", "10.9.9.9/8", "10.*")],
    *[("10.1.2.3", one) for one in ("localhost,10.0.0.0/8", "localhost, 10.0.0.0/8 ,x", "localhost 10.0.0.0/8", "\tLOCALHOST\n10.1.2.3")],
    *[("fd00::7", one) for one in ("fd00::/8", "[fd00::]/8", "fd00::7", "[fd00::7]", "[fd00::7]:443", "FD00:0::7", "[fd00::]/8:443")],
    ("::ffff:10.1.2.3", "10.0.0.0/8"),
    ("fe80::7%eth0", "fe80::/10"),
    *[("ghes.example.com", one) for one in ("ghes.example.com", "example.com", ".example.com", "*.example.com", "com", "GHES.Example.COM")],
    *[("ghes.example.com", one) for one in ("ghes.example.com:443", ".example.com:443", "*.example.com:443", "example.com.", "*", "a,*")],
    ("GHES.example.com.", "ghes.example.com"),
    ("localhost", "localhost,127.0.0.0/8"),
]  # fmt: skip
PROXIED = [
    *[("10.1.2.3", one) for one in ("", "11.0.0.0/8", "10.1.2.4", "10.1.2.3:8443", "10.0.0.0/8:8443", "10.1.2.0/33", "fd00::/8", "3", ".3", "1.*")],
    *[("fd00::7", one) for one in ("fe80::/10", "[fd00::7]:8443", "10.0.0.0/8", "fd00::8", "[::", "*.7")],
    *[("ghes.example.com", one) for one in ("hes.example.com", "*hes.example.com", "other.com", "ghes.example.com:8443", "10.0.0.0/8")],
    *[("ghes.example.com", one) for one in ("ghes", ".", "*.", ",,", "ghes.example.com/api", "https://ghes.example.com", ":443")],
    ("notexample.com", ".example.com"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "no_proxy"), EXCEPTED)
def test_what_is_excepted(host: str, no_proxy: str) -> None:
    """Ranges, ports, suffixes, names, addresses, and everything; in any case and with any separator."""
    assert is_excepted(host, 443, no_proxy)


@pytest.mark.parametrize(("host", "no_proxy"), PROXIED)
def test_what_is_not_excepted(host: str, no_proxy: str) -> None:
    """Another range, another port, a part of a name, or no form of an entry."""
    assert not is_excepted(host, 443, no_proxy)
