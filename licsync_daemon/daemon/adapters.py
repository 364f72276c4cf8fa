"""Build the far sides of a run from what is configured: the only place that knows every kind of source, delivery and cloud."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from licsync_daemon.cloud.enterprise import GithubCloud
from licsync_daemon.cloud.graphql import impatient
from licsync_daemon.cloud.organization import OrganizationCloud
from licsync_daemon.deliveries.http import HttpUpload
from licsync_daemon.deliveries.outbox import Outbox, take_back
from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Gate, Retrier
from licsync_daemon.http.wire import AnswerFacts, basic
from licsync_daemon.model.instance import (
    CloudAccount,
    CommandSource,
    ConnectDelivery,
    Destination,
    FileSource,
    HttpDelivery,
    Instance,
    MailNotifier,
    ManualDelivery,
    NoSource,
    NotifierTo,
    ReportSource,
    Source,
    SshSource,
    WebhookNotifier,
)
from licsync_daemon.model.ports import Channel, Clock, CloudReader, Delivery, UsageSource, WaitReporter
from licsync_daemon.model.run import DeliveryRecord
from licsync_daemon.model.text import PLAIN, Invocation
from licsync_daemon.model.usage import SyncStatus
from licsync_daemon.monitoring.channels.mail import Mail
from licsync_daemon.monitoring.channels.webhook import Webhook
from licsync_daemon.rules.handover import upload_page
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.sources.command import CommandUsageSource
from licsync_daemon.sources.counted import CountedUsageSource
from licsync_daemon.sources.file import FileUsageSource
from licsync_daemon.sources.report import ReportUsageSource
from licsync_daemon.sources.ssh import SshUsageSource


@dataclass(frozen=True, slots=True)
class NetworkAdapters:
    """Opens real connections (the `Adapters` port). Credentials are read for every request, so a rotated one is found."""

    account: CloudAccount
    credentials: Credentials
    clock: Clock
    invocation: Invocation = PLAIN
    # For as long as the process lives:
    gates: dict[str, Gate] = field(default_factory=dict)  # by host
    remembered: dict[str, tuple[str, SyncStatus]] = field(default_factory=dict)  # by address, under the mark the cloud gave it
    facts: dict[str, AnswerFacts] = field(default_factory=dict)  # by host: what the headers of the newest answers told

    def _gate(self, at: Destination) -> Gate:
        return self.gates.setdefault(urlsplit(at.url).netloc, Gate())

    @asynccontextmanager
    async def source(self, instance: Instance, waits: WaitReporter, *, newer_than: datetime | None = None) -> AsyncIterator[UsageSource]:
        async with AsyncExitStack() as stack:
            source = await self._source(instance.source, waits, stack, newer_than)
            if instance.counts is not None:
                source = CountedUsageSource(source, await self._source(instance.counts, waits, stack, None))
            yield source

    async def _source(self, source: Source, waits: WaitReporter, stack: AsyncExitStack, newer_than: datetime | None) -> UsageSource:
        match source:
            case ReportSource():
                return await stack.enter_async_context(self._report(source, waits))
            case SshSource():
                return SshUsageSource(source, lambda: self.private_key(source), Retrier(self.clock, waits), self.clock)
            case CommandSource():
                return CommandUsageSource(source, self.clock)
            case FileSource():
                return FileUsageSource(source, self.clock, newer_than)
            case NoSource():
                raise AssertionError("there is no source to read from; the run must not ask for one")

    @asynccontextmanager
    async def _report(self, source: ReportSource, waits: WaitReporter) -> AsyncIterator[UsageSource]:
        async with self.instance_client(source) as client:
            yield ReportUsageSource(source, client, Retrier(self.clock, waits, gate=self._gate(source.at)), self.clock)

    @asynccontextmanager
    async def delivery(self, instance: Instance, waits: WaitReporter) -> AsyncIterator[Delivery]:
        match instance.delivery:
            case HttpDelivery():
                async with self._http_upload(instance.delivery.at, waits) as upload:
                    yield upload
            case ManualDelivery():
                page = upload_page(self.account)
                yield Outbox(instance, instance.delivery, upload_page=page, now=self.clock.now(), invocation=self.invocation)
            case ConnectDelivery():
                raise AssertionError("GitHub Connect carries the usage of this instance; nothing is ever sent for it")

    def take_back(self, record: DeliveryRecord) -> None:
        take_back(record)

    @asynccontextmanager
    async def _http_upload(self, at: Destination, waits: WaitReporter) -> AsyncIterator[Delivery]:
        async with self.endpoint_client(at) as client:
            yield HttpUpload(client, Retrier(self.clock, waits, gate=self._gate(at)))

    @asynccontextmanager
    async def cloud(self, waits: WaitReporter) -> AsyncIterator[CloudReader]:
        account, at = self.account, self.account.at
        retry = Retrier(self.clock, waits, gate=self._gate(at))
        async with self.cloud_client() as client:
            try:
                if account.organization is not None:
                    yield OrganizationCloud(account.organization, client, retry)
                else:
                    graphql = Retrier(self.clock, waits, policy=impatient)
                    yield GithubCloud(account.enterprise or "", client, retry, graphql_retry=graphql, remembered=self.remembered)
            finally:
                self.facts[urlsplit(at.url).netloc] = client.seen

    def instance_client(self, source: ReportSource) -> HttpClient:
        version = {"X-GitHub-Api-Version": source.api_version} if source.api_version else {}
        return HttpClient(
            to=source.at,
            side=Side.INSTANCE,
            authorization=lambda: basic(source.username, self.credentials.github_token(source.at.token)),
            proxy_auth=self.proxy_auth(source.at),
            headers=version,
        )

    def endpoint_client(self, at: Destination) -> HttpClient:
        return HttpClient(
            to=at,
            side=Side.DELIVERY,
            authorization=lambda: f"Bearer {self.credentials.delivery_token(at.token)}",
            proxy_auth=self.proxy_auth(at),
        )

    def cloud_client(self) -> HttpClient:
        account, at = self.account, self.account.at
        return HttpClient(
            to=at,
            side=Side.CLOUD if account.organization is None else Side.ORGANIZATION,
            authorization=lambda: f"Bearer {self.credentials.github_token(at.token)}",
            proxy_auth=self.proxy_auth(at),
            headers={"X-GitHub-Api-Version": account.api_version},
        )

    def private_key(self, source: SshSource) -> Path:
        """Return the file of the private key. Raises `RunError`."""
        return source.private_key or self.credentials.file(source.private_key_credential)

    def proxy_auth(self, at: Destination) -> Callable[[], str]:
        """Return a reader of the proxy's credential; many proxies want none."""
        return lambda: self.credentials.optional_line(at.proxy_auth) or ""


def mail(to: MailNotifier, credentials: Credentials) -> Mail:
    """Build the channel to people by mail. The password is read for every message."""
    return Mail(to, password=lambda: credentials.line(to.password))


def notifiers(channels: Iterable[NotifierTo], credentials: Credentials) -> tuple[Channel, ...]:
    """Build every configured channel to people. Credentials are read for every message."""

    def build(channel: NotifierTo) -> Channel:
        match channel:
            case MailNotifier():
                return mail(channel, credentials)
            case WebhookNotifier(at=at, secret_path=secret_path):
                return Webhook(
                    at,
                    secret_path=lambda: credentials.optional_secret_path(secret_path) or "",
                    authorization=lambda: f"Bearer {token}" if (token := credentials.optional_delivery_token(at.token)) else "",
                    proxy_auth=lambda: credentials.optional_line(at.proxy_auth) or "",
                )

    return tuple(build(one) for one in channels)
