"""Opens the source, delivery and cloud of a run as configured: the only module that knows every kind of them."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from licsync_daemon.cloud.enterprise import GithubCloud
from licsync_daemon.cloud.graphql import impatient
from licsync_daemon.cloud.organization import OrganizationCloud
from licsync_daemon.deliveries.http import HttpUpload
from licsync_daemon.deliveries.outbox import Outbox
from licsync_daemon.deliveries.outbox_folder import fault, take_back
from licsync_daemon.http.clients import Clients
from licsync_daemon.http.retrier import Gate, Retrier
from licsync_daemon.http.wire import AnswerFacts
from licsync_daemon.model.instance import (
    CommandSource,
    ConnectDelivery,
    Destination,
    FileSource,
    HttpDelivery,
    Instance,
    ManualDelivery,
    NoSource,
    ReportSource,
    Source,
    SshSource,
)
from licsync_daemon.model.ports import Clock, CloudReader, Delivery, UsageDocument, UsageSource, WaitReporter
from licsync_daemon.model.run import DeliveryRecord, Run
from licsync_daemon.model.text import PLAIN, Invocation
from licsync_daemon.model.usage import SyncStatus
from licsync_daemon.rules.handover import upload_page
from licsync_daemon.sources.command import CommandUsageSource
from licsync_daemon.sources.counted import CountedUsageSource
from licsync_daemon.sources.file import FileUsageSource
from licsync_daemon.sources.report import ReportUsageSource
from licsync_daemon.sources.ssh import SshUsageSource


@dataclass(frozen=True, slots=True)
class Connections:
    """Opens real connections (the `Adapters` port). Credentials are read for every request, so that rotated ones take effect."""

    clients: Clients
    clock: Clock
    invocation: Invocation = PLAIN
    fleet: str = ""  # this fleet in words, for the manifests in outboxes
    deliveries_of: Callable[[str], Iterable[DeliveryRecord]] = lambda _: ()  # the recorded ones of an instance
    # For the lifetime of the process:
    gates: dict[str, Gate] = field(default_factory=dict)  # by host
    remembered: dict[str, tuple[str, SyncStatus]] = field(default_factory=dict)  # by URL, with the ETag of the response
    facts: dict[str, AnswerFacts] = field(default_factory=dict)  # by host: facts from the headers of the latest responses

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
                return SshUsageSource(source, lambda: self.clients.private_key(source), Retrier(self.clock, waits), self.clock)
            case CommandSource():
                return CommandUsageSource(source, self.clock)
            case FileSource():
                return FileUsageSource(source, self.clock, newer_than)
            case NoSource():
                raise AssertionError("the instance has no source; the run must not open one")

    @asynccontextmanager
    async def _report(self, source: ReportSource, waits: WaitReporter) -> AsyncIterator[UsageSource]:
        async with self.clients.instance(source) as client:
            yield ReportUsageSource(source, client, Retrier(self.clock, waits, gate=self._gate(source.at)), self.clock)

    @asynccontextmanager
    async def delivery(self, instance: Instance, waits: WaitReporter) -> AsyncIterator[Delivery]:
        match instance.delivery:
            case HttpDelivery():
                async with self._http_upload(instance.delivery.at, waits) as upload:
                    yield upload
            case ManualDelivery():
                yield self._outbox(instance, instance.delivery, self.clock.now())
            case ConnectDelivery():
                raise AssertionError("GitHub Connect syncs this instance; nothing is ever sent for it")

    def _outbox(self, instance: Instance, to: ManualDelivery, since: datetime) -> Outbox:
        return Outbox(
            instance,
            to,
            upload_page=upload_page(self.clients.account),
            now=since,
            fleet=self.fleet,
            records=self.deliveries_of(instance.name),
            invocation=self.invocation,
        )

    def take_back(self, record: DeliveryRecord) -> None:
        take_back(record)

    def outbox_fault(self, instance: Instance, run: Run, record: DeliveryRecord) -> str | None:
        return fault(instance, run, record)

    async def put_back(self, instance: Instance, run: Run, record: DeliveryRecord, document: UsageDocument | None) -> None:
        assert isinstance(instance.delivery, ManualDelivery)
        await self._outbox(instance, instance.delivery, run.delivered_at or run.started_at).send(document, record.key)

    @asynccontextmanager
    async def _http_upload(self, at: Destination, waits: WaitReporter) -> AsyncIterator[Delivery]:
        async with self.clients.endpoint(at) as client:
            yield HttpUpload(client, Retrier(self.clock, waits, gate=self._gate(at)))

    @asynccontextmanager
    async def cloud(self, waits: WaitReporter) -> AsyncIterator[CloudReader]:
        account, at = self.clients.account, self.clients.account.at
        retry = Retrier(self.clock, waits, gate=self._gate(at))
        async with self.clients.cloud() as client:
            try:
                if account.organization is not None:
                    yield OrganizationCloud(account.organization, client, retry)
                else:
                    graphql = Retrier(self.clock, waits, policy=impatient)
                    yield GithubCloud(account.enterprise or "", client, retry, graphql_retry=graphql, remembered=self.remembered)
            finally:
                self.facts[urlsplit(at.url).netloc] = client.seen
