"""What the way to a destination means: rows. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from licsync_daemon.model.errors import Code
from licsync_daemon.monitoring.preflight.network import Certificate, Reachability, Refused, Route
from licsync_daemon.monitoring.preflight.rows import CERTIFICATE_DAYS, CheckRow, Place, ends

SHOWN = 3  # addresses, or names of a certificate; the rest is counted
# OpenSSL's numbers (X509_V_ERR_…). Source: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/ (checked 2026-11-24).
NOT_YET_VALID, EXPIRED, WRONG_NAME, WRONG_ADDRESS = 9, 10, 62, 64
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


def way_rows(place: Place, route: Route, way: Reachability, now: datetime) -> Iterator[CheckRow]:
    """Yield a row for each step that was taken, up to the first that failed."""
    yield place.ok("route", _route_words(route))
    first = route.first
    if way.unresolved is not None:
        fix = "check the name, and the name servers of this machine" + _proxy_hint(route)
        yield place.fail("name", f"{first.host} cannot be resolved: {way.unresolved}", fix, Code.UNREACHABLE)
        return
    if way.addresses != (first.host,):
        yield place.ok("name", f"{first.host} is {_some(way.addresses)}")
    who = "the proxy" if route.proxy is not None else first.host
    if way.unconnected is not None:
        fix = f"check that {who} is up, and the firewall for port {first.port}" + _proxy_hint(route)
        yield place.fail("connection", f"port {first.port} of {who}: {way.unconnected}", fix, Code.UNREACHABLE)
        return
    if way.unproxied is not None:
        fix = "check `proxy` and `proxy_auth` of this destination, and what the proxy allows"
        yield place.fail("connection", f"the proxy does not let us through to {route.to}: {way.unproxied}", fix, Code.UNREACHABLE)
        return
    yield place.ok("connection", f"port {first.port} of {who} takes connections")
    if way.refused is not None:
        yield _refused(place, route, way.refused)
    elif way.certificate is not None:
        yield certificate_row(place, route.to.host, way.certificate, now)


def certificate_row(place: Place, host: str, certificate: Certificate, now: datetime) -> CheckRow:
    """Say who issued an accepted certificate, and how long it lasts."""
    what, fix = f"the certificate of {host}, issued by {certificate.issuer},", f"renew the certificate of {host}"
    return ends(place, "certificate", what, certificate.ends_at, now, steps=CERTIFICATE_DAYS, fix=fix, code=Code.CERTIFICATE_EXPIRING)


def _route_words(route: Route) -> str:
    direct = "direct; HTTPS_PROXY is set but not used" if route.ignored else "direct"
    way = f"through the proxy {route.proxy}" if route.proxy is not None else direct
    if not route.to.secure:
        return way
    return f"{way}; trusts {route.ca_file if route.ca_file is not None else 'the authorities of the system'}"


def _proxy_hint(route: Route) -> str:
    """The environment's proxy is worth a word only where the direct way does not work."""
    return '; HTTPS_PROXY is set but not used: if this destination is behind that proxy, set proxy = "env"' if route.ignored else ""


def _refused(place: Place, route: Route, refused: Refused) -> CheckRow:
    host, shown = route.to.host, refused.shown
    renew = f"renew the certificate of {host}"
    match refused.verify_code:
        case None:
            seen = f"TLS with {host} failed: {refused.reason}"
            fix = f"{host} must speak TLS 1.2 or newer on port {route.to.port}; look at what stands between"
        case code if code == EXPIRED:
            seen, fix = f"the certificate of {host} has expired", renew
        case code if code == NOT_YET_VALID:
            seen, fix = f"the certificate of {host} is not valid yet", "check this machine's clock, then the certificate"
        case code if code in {WRONG_NAME, WRONG_ADDRESS}:
            seen = f"the certificate is not for {host}" + (f" but for {_some(shown.names)}" if shown is not None and shown.names else "")
            fix = f"configure the name that the certificate is for, or have one made for {host}"
        case code if code in UNKNOWN_ISSUER:
            by = f", {shown.issuer}," if shown is not None else ""
            seen = f"who issued the certificate of {host}{by} is not trusted by {route.ca_file or 'this system'}"
            fix = "if that is your own authority, or your proxy's that opens TLS, name its PEM file as `ca_file`"
        case _:
            seen, fix = f"the certificate of {host} is not accepted: {refused.reason}", renew
    return place.fail("certificate", seen, fix, Code.TLS_FAILED)


def _some(words: Sequence[str]) -> str:
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")
