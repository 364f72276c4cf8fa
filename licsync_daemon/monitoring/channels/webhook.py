"""Messages as JSON, posted to one address; docs/notifications.md describes the format."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from licsync_daemon.http.advice import TEMPORARY, Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.model.alert import Message
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination
from licsync_daemon.monitoring.alerts import as_json
from licsync_daemon.rules.receipt import Receipt, receipt

NOT_TAKEN = {
    Receipt.REFUSED: (
        Code.REJECTED,
        "returned a 2xx status, but its response says that the message was not accepted",
        (
            "check the receiver: usually its channel or the secret part of the address no longer exists, or it does "
            "not accept the format in docs/notifications.md"
        ),
    ),
    Receipt.RATE_LIMITED: (
        Code.RATE_LIMITED,
        "returned a 2xx status, but its response reports a rate limit",
        f"{TEMPORARY} once the rate limit resets",
    ),
    Receipt.WEB_PAGE: (
        Code.BAD_RESPONSE,
        "returned a web page, such as a sign-in page, instead of accepting the message",
        "check `notify.webhook.url` and the credential notify__webhook__secret_path, and that no sign-in page or web filter is in between",
    ),
}


class Webhook:
    """One address (the `Channel` port). Its path and query may be secrets, so messages name the host only."""

    name = "webhook"

    def __init__(
        self, to: Destination, *, secret_path: Callable[[], str], authorization: Callable[[], str], proxy_auth: Callable[[], str]
    ) -> None:
        """`secret_path` reads the rest of the address for each message, or ""."""
        self._to = to
        self._secret_path = secret_path
        self._authorization = authorization
        self._proxy_auth = proxy_auth

    async def send(self, message: Message) -> None:
        """Post a message. It is sent if the status is 2xx and the body does not say otherwise; the body may be a secret and is not quoted.

        Raises:
            RunError: A credential cannot be used; a `RemoteError` for all else, including a redirect.
        """
        to = replace(self._to, url=self._to.url + self._secret_path())
        client = HttpClient(to=to, side=Side.WEBHOOK, authorization=self._authorization, proxy_auth=self._proxy_auth)
        content = json.dumps(as_json(message), ensure_ascii=False).encode()
        operation = f"the webhook at {urlsplit(self._to.url).hostname}"
        async with client:
            answer = receipt(await client.push(content, operation=operation))
        if answer is not Receipt.TAKEN:
            code, what, step = NOT_TAKEN[answer]
            raise RemoteError(code, f"{operation} {what}", step, transient=code is Code.RATE_LIMITED)
