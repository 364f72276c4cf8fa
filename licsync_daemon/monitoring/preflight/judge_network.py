"""What the reachability of a destination means, as rows. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from licsync_daemon.http.handshake import KNOWN, NO_INTERMEDIATE, UNKNOWN_ISSUER, WRONG_ADDRESS, WRONG_NAME, fault_of_certificate
from licsync_daemon.model.errors import Code
from licsync_daemon.monitoring.preflight.certificates import Certificate
from licsync_daemon.monitoring.preflight.network import Reachability, Refused, Route
from licsync_daemon.monitoring.preflight.rows import CERTIFICATE_DAYS, CheckRow, Place, expires

SHOWN = 3  # addresses, or names in a certificate; the rest is counted


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
        seen = f"no connection to {route.to} through the proxy {first}: {reached.unproxied.cause}"
        yield place.fail("connection", seen, reached.unproxied.next_step, Code.UNREACHABLE)
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
    host, shown, code = route.to.host, refused.shown, refused.verify_code
    if code is None:
        seen = f"TLS with {host} failed: {refused.reason}"
        fix = f"{host} must support TLS 1.2 or later on port {route.to.port}; check for devices that intercept TLS"
        return place.fail("certificate", seen, fix, Code.TLS_FAILED)
    meaning = fault_of_certificate(code, host)
    seen, fix = meaning.cause, meaning.next_step
    if code in {WRONG_NAME, WRONG_ADDRESS} and shown is not None and shown.names:
        seen += f", but for {_first_few(shown.names)}"
    elif code in UNKNOWN_ISSUER:
        by = f" ({shown.issuer})" if shown is not None else ""
        where = f"is not in {route.ca_file}" if route.ca_file is not None else "this system does not trust"
        seen = f"the certificate of {host} was issued by a CA{by} that {where}"
        if shown is not None and shown.is_alone:
            seen += f", and {NO_INTERMEDIATE}"
    elif code not in KNOWN:
        seen += f": {refused.reason}"
    return place.fail("certificate", seen, fix, Code.TLS_FAILED)


def _first_few(words: Sequence[str]) -> str:
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")
