"""TLS contexts: what they accept at least, and what makes them unusable."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from licsync_daemon.http.tls import inspecting, tls_context, trusting, trusting_proxy
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination


def test_a_context_verifies_and_speaks_tls_1_2_or_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explicitly, whatever the system's OpenSSL was built or configured for."""
    default = ssl.create_default_context

    def lenient(**options: Any) -> ssl.SSLContext:
        context = default(**options)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    monkeypatch.setattr(ssl, "create_default_context", lenient)
    for context in (trusting(None), tls_context(Destination(url="https://ghes.example.com"))):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_every_python_decides_alike_about_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strict check, which Python 3.13 switches on, refuses certificates that curl, git and browsers accept."""
    default = ssl.create_default_context

    def newer(**options: Any) -> ssl.SSLContext:
        context = default(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    flags = {trusting(None).verify_flags, trusting_proxy(None).verify_flags}
    monkeypatch.setattr(ssl, "create_default_context", newer)
    flags |= {trusting(None).verify_flags, trusting_proxy(None).verify_flags}
    assert flags == {ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN}


def test_a_proxy_may_have_a_public_ca_or_that_of_the_destination(tmp_path: Path) -> None:
    """Both are trusted."""
    ca_file = tmp_path / "ca.pem"
    trustme.CA(organization_name="Corp").cert_pem.write_to_path(ca_file)
    of_system = len(trusting(None).get_ca_certs())
    assert len(trusting_proxy(ca_file).get_ca_certs()) == of_system + 1
    with pytest.raises(RemoteError):
        trusting_proxy(tmp_path / "missing.pem")


def test_a_ca_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "empty.pem").write_text("")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(RemoteError, match=name) as raised:
            trusting(tmp_path / name)
        assert raised.value.code is Code.TLS_FAILED


def test_only_the_inspecting_context_accepts_any_certificate() -> None:
    """It reads a certificate that was refused."""
    assert inspecting().verify_mode == ssl.CERT_NONE
