"""The `Delivery` port: one suite over a fake, the endpoint of the sandbox, and the outbox for a person."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from licsync_daemon.deliveries.http import HttpUpload
from licsync_daemon.deliveries.outbox import Outbox
from licsync_daemon.deliveries.outbox_folder import take_back
from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.instance import Destination, ManualDelivery
from licsync_daemon.model.ports import Delivery, UsageDocument
from licsync_daemon.model.run import Baseline, DeliveryRecord
from licsync_daemon.model.text import Invocation
from licsync_daemon.model.usage import ServerIdentity, UploadState, UsageCounts
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from licsync_daemon.state.document import wrap_export
from tests.fakes import T0, FakeClock, FakeWorld, Waits, a_document, an_account, an_instance

KEY = "5b1f0e6f9d0c4f4e8a55c3b1f0e6f9d0"
FLEET = generate_fleet(seed=3, instances=1, people=20)


@dataclass
class Case:
    """One implementation, and how often it has what was sent."""

    open: Callable[[], AbstractAsyncContextManager[Delivery]]
    arrived: Callable[[], int]
    server_id: str = "server-emea"
    is_asked: bool = True  # whether it can say what became of an upload


@contextmanager
def fake(tmp_path: Path) -> Iterator[Case]:
    world = FakeWorld(FakeClock())
    yield Case(lambda: world.delivery(an_instance(), Waits()), lambda: len(world.processed))


@contextmanager
def endpoint(tmp_path: Path) -> Iterator[Case]:
    with Sandbox(FLEET, processing_delay=0.0) as box:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Delivery]:
            client = HttpClient(
                to=Destination(url=box.delivery_url), side=Side.DELIVERY, authorization=lambda: f"Bearer {box.delivery_token}"
            )
            async with client:
                yield HttpUpload(client, Retrier(FakeClock(), Waits()))

        yield Case(opened, lambda: len(box.cloud.uploads()), next(iter(box.instances.values())).server_id)


@contextmanager
def outbox(tmp_path: Path) -> Iterator[Case]:
    instance = an_instance(delivery=ManualDelivery(outbox=tmp_path))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Delivery]:
        assert isinstance(instance.delivery, ManualDelivery)
        yield Outbox(instance, instance.delivery, upload_page="https://github.com/enterprises/octo", now=T0)

    yield Case(opened, lambda: len(list(tmp_path.glob("*/usage-*.json"))), is_asked=False)


def a_record(key: str, upload_id: str) -> DeliveryRecord:
    return DeliveryRecord(
        key=key,
        instance="emea",
        run_id="r1",
        slot=None,
        content_hash="",
        identity=ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea"),
        sent=None,
        baseline=Baseline(date=None, answered_at=None, entry=""),
        opened_at=T0,
        upload_id=upload_id,
    )


@pytest.fixture(params=[fake, endpoint, outbox], ids=["fake", "http", "manual"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with request.param(tmp_path) as found:
        yield found


@pytest.fixture
def document(case: Case, tmp_path: Path) -> Iterator[UsageDocument]:
    folder = tmp_path / "spool"
    folder.mkdir()
    with a_document(folder, [an_account(1)], identity=ServerIdentity(hostname="ghes-emea.example.com", server_id=case.server_id)) as found:
        yield found


def test_the_note_names_commands_as_its_reader_types_them(tmp_path: Path) -> None:
    """The person who uploads is not the daemon's user: the command includes the configuration and the user."""
    instance = an_instance(delivery=ManualDelivery(outbox=tmp_path))
    assert isinstance(instance.delivery, ManualDelivery)
    typed = Invocation(config=Path("/srv/fleet.toml"), owner="licsync")
    to = Outbox(instance, instance.delivery, upload_page="https://github.com/enterprises/octo", now=T0, invocation=typed)
    folder = asyncio.run(to.send(None, KEY))
    assert (Path(folder) / "README.txt").read_text().endswith("sudo -u licsync licsync-daemon --config /srv/fleet.toml status\n")


def test_the_same_key_and_content_changes_nothing(case: Case, document: UsageDocument) -> None:
    """Sent twice, it returns one id and arrives once."""

    async def main() -> list[str]:
        async with case.open() as delivery:
            return [await delivery.send(document, KEY), await delivery.send(document, KEY)]

    first, second = asyncio.run(main())
    assert first == second
    assert 0 < len(first) <= (128 if case.is_asked else 4096)  # a folder's path
    assert case.arrived() == 1


def test_another_process_may_repeat_it(case: Case, document: UsageDocument) -> None:
    """After a crash another connection sends the same document again."""

    async def once() -> str:
        async with case.open() as delivery:
            return await delivery.send(document, KEY)

    assert asyncio.run(once()) == asyncio.run(once())
    assert case.arrived() == 1


def test_it_says_what_became_of_an_upload_or_that_it_cannot(case: Case, document: UsageDocument) -> None:
    """An unknown id is not an error: only the read-back decides then."""

    async def main() -> tuple[UploadState | None, UploadState | None]:
        async with case.open() as delivery:
            known = await delivery.ask(await delivery.send(document, KEY))
            return known.state, (await delivery.ask("nobody-knows-this")).state

    known, unknown = asyncio.run(main())
    assert known is (UploadState.SUCCESS if case.is_asked else None)
    assert unknown is None


def test_what_is_taken_back_is_what_its_record_laid_ready(tmp_path: Path) -> None:
    """Wherever the outbox is configured by now; a newer delivery in the same folder stays, and repeating is harmless."""
    with outbox(tmp_path) as case, a_document(tmp_path, [an_account(1)]) as export:

        async def sent(key: str) -> DeliveryRecord:
            async with case.open() as delivery:
                return a_record(key, await delivery.send(export, key))

        older, newer = asyncio.run(sent("key-0")), asyncio.run(sent("key-1"))
        take_back(older)
        assert case.arrived() == 1
        take_back(newer)
        take_back(newer)
        take_back(a_record("key-2", "key-2"))
    assert not (tmp_path / "emea").exists()


def test_nothing_is_taken_back_through_a_link(tmp_path: Path) -> None:
    """A user with write access to the outbox must not redirect the deletion."""
    with outbox(tmp_path) as case, a_document(tmp_path, [an_account(1)]) as export:

        async def sent() -> DeliveryRecord:
            async with case.open() as delivery:
                return a_record(KEY, await delivery.send(export, KEY))

        record = asyncio.run(sent())
        (tmp_path / "emea").rename(tmp_path / "elsewhere")
        (tmp_path / "emea").symlink_to(tmp_path / "elsewhere")
        take_back(record)
    assert len(list((tmp_path / "elsewhere").glob("usage-*.json"))) == 1


def test_an_export_goes_out_as_it_is(tmp_path: Path) -> None:
    """The outbox contains it byte for byte; a newer one replaces it."""
    with outbox(tmp_path) as case:
        for number, content in enumerate((b'{"users": "\xf0\x9f\x90\x99"}', b'{"users": "b"}')):
            at = T0.replace(hour=number)
            export = wrap_export(
                content,
                directory=tmp_path,
                identity=ServerIdentity(hostname="h", server_id="s"),
                collected_at=at,
                counts=UsageCounts(counted=False),
            )

            async def main(export: UsageDocument = export, number: int = number) -> None:
                async with case.open() as delivery:
                    await delivery.send(export, f"key-{number}")

            with export:
                asyncio.run(main())
            (file,) = tmp_path.glob("emea/usage-*.json")
            assert file.read_bytes() == content
