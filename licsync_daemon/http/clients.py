"""HTTP clients for the configured servers, with their credentials. A credential is read again for every request."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.http.advice import Side
from licsync_daemon.http.ages import Ages
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.wire import basic
from licsync_daemon.model.instance import CloudAccount, Destination, ReportSource, SshSource
from licsync_daemon.settings.credential_forms import Kind
from licsync_daemon.settings.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Clients:
    """Makes a client for each kind of server."""

    account: CloudAccount
    credentials: Credentials
    ages: Ages | None = None  # shared by all clients of the process

    def instance(self, source: ReportSource) -> HttpClient:
        version = {"X-GitHub-Api-Version": source.api_version} if source.api_version else {}
        return HttpClient(
            to=source.at,
            side=Side.INSTANCE,
            authorization=lambda: basic(source.username, self.credentials.text(source.at.token, Kind.GITHUB_TOKEN)),
            proxy_auth=self.proxy_auth(source.at),
            ages=self.ages,
            headers=version,
        )

    def endpoint(self, at: Destination) -> HttpClient:
        return HttpClient(
            to=at,
            side=Side.DELIVERY,
            authorization=lambda: f"Bearer {self.credentials.text(at.token, Kind.DELIVERY_TOKEN)}",
            proxy_auth=self.proxy_auth(at),
            ages=self.ages,
        )

    def cloud(self) -> HttpClient:
        account, at = self.account, self.account.at
        return HttpClient(
            to=at,
            side=Side.CLOUD if account.organization is None else Side.ORGANIZATION,
            authorization=lambda: f"Bearer {self.credentials.text(at.token, Kind.GITHUB_TOKEN)}",
            proxy_auth=self.proxy_auth(at),
            ages=self.ages,
            headers={"X-GitHub-Api-Version": account.api_version},
        )

    def private_key(self, source: SshSource) -> Path:
        """Return the file of the private key. Raises `RunError`."""
        return source.private_key or self.credentials.key_file(source.private_key_credential)

    def proxy_auth(self, at: Destination) -> Callable[[], str]:
        """Return a reader of the proxy's credential; many proxies want none."""
        return lambda: self.credentials.optional_text(at.proxy_auth, Kind.LINE) or ""
