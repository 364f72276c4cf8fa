"""Checks of delivery endpoints and notification channels: whether they are reachable. No usage and no message is sent."""

from dataclasses import replace

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import Destination, MailNotifier, WebhookNotifier
from licsync_daemon.monitoring.channels.build import mail
from licsync_daemon.monitoring.preflight.certificates import certificate_of
from licsync_daemon.monitoring.preflight.judge_network import certificate_row
from licsync_daemon.monitoring.preflight.network import Hop, Route
from licsync_daemon.monitoring.preflight.probing import QUICK, Probing, refusal
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, Place, Rows

ANY = tuple(range(200, 600))
REFUSED = {401: Code.UNAUTHORIZED, 403: Code.FORBIDDEN}


async def delivery_rows(place: Place, probing: Probing, at: Destination) -> Rows:
    """Yield whether an endpoint responds. The request is a GET, which the contract does not define: any HTTP status counts."""
    async for row in probing.reachability(place, at):
        yield row
        if row.outcome is Outcome.FAIL:
            return
    try:
        async with (
            probing.ready(probing.clients.endpoint(at)) as client,
            client.get(at.url, operation=f"the delivery endpoint {at.url}", limits=QUICK, wanted=ANY) as response,
        ):
            yield endpoint_row(place, response.status)
    except RunError as error:
        yield refusal(place, "endpoint", error)


def endpoint_row(place: Place, status: int) -> CheckRow:
    """Judge the HTTP status of an endpoint."""
    if status in REFUSED:
        fix = "ask the endpoint's operator for a token that may upload usage, and store it in the delivery's credential"
        return place.fail("endpoint", f"token rejected ({status})", fix, REFUSED[status])
    if status >= 500:
        fix = "ask the endpoint's operator; uploads are retried automatically"
        return place.warn("endpoint", f"responds with {status}", fix, Code.SERVER_ERROR)
    return place.ok("endpoint", f"responds ({status}); nothing was sent")


async def webhook_rows(place: Place, probing: Probing, notifier: WebhookNotifier) -> Rows:
    async for row in probing.reachability(place, notifier.at):
        yield row


async def mail_rows(place: Place, probing: Probing, notifier: MailNotifier) -> Rows:
    """Yield whether the mail server is reachable and accepts the login."""
    route = Route(to=Hop(notifier.host, notifier.port, notifier.security == "tls"), ca_file=notifier.ca_file)
    try:
        tls = probing.tls(Destination(url=f"https://{notifier.host}", ca_file=notifier.ca_file))
    except RunError as error:
        yield place.failed("route", error)
        return
    async for row in probing.along(place, replace(route, ignored=False), tls):
        yield row
        if row.outcome is Outcome.FAIL:
            return
    try:
        shown = await mail(notifier, probing.clients.credentials).try_out()
    except RunError as error:
        yield place.failed("login", error)
    else:
        if notifier.security == "starttls":  # with "tls", `along` has checked it
            yield certificate_row(place, notifier.host, certificate_of(shown), probing.clock.now())
        encrypted = {"none": "without TLS", "starttls": "TLS by STARTTLS", "tls": "TLS"}[notifier.security]
        who = "login accepted" if notifier.username is not None else "no login configured"
        yield place.ok("login", f"{encrypted}, {who}; nothing was sent")
