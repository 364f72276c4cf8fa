"""Messages as JSON, posted to one address; docs/notifications.md describes the format."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.model.alert import Message
from licsync_daemon.model.instance import Destination
from licsync_daemon.monitoring.alerts import as_json


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
        """Post a message; any 2xx is a success.

        Raises:
            RunError: A credential cannot be used; a `RemoteError` for all else, including a redirect.
        """
        to = replace(self._to, url=self._to.url + self._secret_path())
        client = HttpClient(to=to, side=Side.WEBHOOK, authorization=self._authorization, proxy_auth=self._proxy_auth)
        content = json.dumps(as_json(message), ensure_ascii=False).encode()
        async with client:
            await client.push(content, operation=f"the webhook at {urlsplit(self._to.url).hostname}")
