"""What the reachability of a destination means, as rows. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from licsync_daemon.model.errors import Code
from licsync_daemon.monitoring.preflight.network import Certificate, Reachability, Refused, Route
from licsync_daemon.monitoring.preflight.rows import CERTIFICATE_DAYS, CheckRow, Place, expires

SHOWN = 3  # addresses, or names in a certificate; the rest is counted
# OpenSSL's numbers (X509_V_ERR_…). Source: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/ (checked 2026-11-24).
NOT_YET_VALID, EXPIRED, WRONG_NAME, WRONG_ADDRESS = 9, 10, 62, 64
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


def reachability_rows(place: Place, route: Route, reached: Reachability, now: datetime) -> Iterator[CheckRow]:
    """Yield a row for each step, up to the first that failed."""
    yield place.ok("route", _route_text(route))
    first = route.first
    if reached.unresolved is not None:
        fix = "check the name and the DNS servers of this machine" + _proxy_hint(route)
        yield place.fail("name", f"cannot resolve {first.host}: {reached.unresolved}", fix, Code.UNREACHABLE)
        return
    if reached.addresses != (first.host,):
        yield place.ok("name", f"{first.host} resolves to {_first_few(reached.addresses)}")
    who = f"the proxy {first}" if route.proxy is not None else str(first)
    if reached.unconnected is not None:
        fix = f"check that {who} is running and that the firewall allows connections to it" + _proxy_hint(route)
        yield place.fail("connection", f"cannot connect to {who}: {reached.unconnected}", fix, Code.UNREACHABLE)
        return
    if reached.unproxied is not None:
        fix = "check `proxy` and `proxy_auth` of this destination, and the rules of the proxy"
        yield place.fail("connection", f"the proxy refused the connection to {route.to}: {reached.unproxied}", fix, Code.UNREACHABLE)
        return
    yield place.ok("connection", f"{who} is reachable")
    if reached.refused is not None:
        yield _refused(place, route, reached.refused)
    elif reached.certificate is not None:
        yield certificate_row(place, route.to.host, reached.certificate, now)


def certificate_row(place: Place, host: str, certificate: Certificate, now: datetime) -> CheckRow:
    """Return the issuer and the expiration date of an accepted certificate."""
    what, fix = f"the certificate of {host}, issued by {certificate.issuer},", f"renew the certificate of {host}"
    return expires(place, "certificate", what, certificate.ends_at, now, steps=CERTIFICATE_DAYS, fix=fix, code=Code.CERTIFICATE_EXPIRING)


def _route_text(route: Route) -> str:
    direct = "direct; HTTPS_PROXY is set but not used" if route.ignored else "direct"
    text = f"through the proxy {route.proxy}" if route.proxy is not None else direct
    if not route.to.secure:
        return text
    return f"{text}; trusts {route.ca_file or 'the CAs of the system'}"


def _proxy_hint(route: Route) -> str:
    """Return a hint at the environment's proxy, for direct connections that fail."""
    return '; HTTPS_PROXY is set but not used: if this destination is behind that proxy, set proxy = "env"' if route.ignored else ""


def _refused(place: Place, route: Route, refused: Refused) -> CheckRow:
    host, shown = route.to.host, refused.shown
    renew = f"renew the certificate of {host}"
    match refused.verify_code:
        case None:
            seen = f"TLS with {host} failed: {refused.reason}"
            fix = f"{host} must support TLS 1.2 or later on port {route.to.port}; check for devices that intercept TLS"
        case code if code == EXPIRED:
            seen, fix = f"the certificate of {host} has expired", renew
        case code if code == NOT_YET_VALID:
            seen, fix = f"the certificate of {host} is not valid yet", "check this machine's clock, then the certificate"
        case code if code in {WRONG_NAME, WRONG_ADDRESS}:
            names = f", but for {_first_few(shown.names)}" if shown is not None and shown.names else ""
            seen = f"the certificate is not for {host}{names}"
            fix = f"configure a name that the certificate contains, or get a certificate for {host}"
        case code if code in UNKNOWN_ISSUER:
            by = f" ({shown.issuer})" if shown is not None else ""
            where = f"is not in {route.ca_file}" if route.ca_file is not None else "this system does not trust"
            seen = f"the certificate of {host} was issued by a CA{by} that {where}"
            fix = "if this is your own CA or the CA of your TLS-inspecting proxy, set `ca_file` to its PEM file"
        case _:
            seen, fix = f"the certificate of {host} was rejected: {refused.reason}", renew
    return place.fail("certificate", seen, fix, Code.TLS_FAILED)


def _first_few(words: Sequence[str]) -> str:
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")
