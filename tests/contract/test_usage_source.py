"""The `UsageSource` port: one suite over every implementation, the fake included. `ports.py` specifies it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.daemon.connections import Connections
from licsync_daemon.http.clients import Clients
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import CloudAccount, CommandSource, Destination, FileSource, ReportSource, Source
from licsync_daemon.model.ports import UsageSource
from licsync_daemon.model.usage import Account, Collected
from licsync_daemon.practice.sandbox import Fault, Sandbox, generate_fleet
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.state.spool import AccountSpool
from tests.contract.sshd import EXPORT, Sshd, serving_ssh
from tests.fakes import FakeClock, FakeWorld, Waits, an_account, an_instance, transient

CSV = "id,login,email,suspended?\n1,mona,mona@example.com,false\n2,hubot,hubot@example.com,true\n"
CLEAR = json.dumps({"users": [{"id": 1, "emails": ["mona@example.com"]}, {"id": 2, "emails": [], "suspended": True}]})


@dataclass
class Kit:
    """One implementation: how to open it, how to make it fail, and its kind."""

    opened: Callable[[], AbstractAsyncContextManager[UsageSource]]
    spoil: Callable[[], None]
    mend: Callable[[], None]
    exports: bool = False
    counts: bool = True


class World:
    """What the implementations read from."""

    def __init__(self, folder: Path, box: Sandbox, sshd: Sshd | None) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.box = box
        self.sshd = sshd

    def adapted(self, source: Source, counts: FileSource | None = None) -> Callable[[], AbstractAsyncContextManager[UsageSource]]:
        """Open a source as a run does."""
        secrets = Credentials(self.folder / "none", {"LICSYNC_TOKEN": self.box.instances["emea"].token}, self.folder / "none")
        adapters = Connections(Clients(CloudAccount(at=Destination(url="https://127.0.0.1")), secrets), self.clock)
        return lambda: adapters.source(an_instance(source=source, counts=counts), Waits())

    def dropped(self, name: str, content: str | bytes) -> tuple[FileSource, Callable[[], None], Callable[[], None]]:
        """Put a file into a folder of its own; return it with functions that remove and restore it."""
        folder = self.folder / name
        folder.mkdir()
        file = folder / "it"
        at = self.clock.now() - timedelta(hours=1)

        def put() -> None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            os.utime(file, (at.timestamp(), at.timestamp()))

        put()
        return FileSource(path=folder), file.unlink, put


def fake(world: World) -> Kit:
    far = FakeWorld(world.clock, default_accounts=[an_account(1), an_account(2, suspended=True)])

    @asynccontextmanager
    async def opened() -> AsyncIterator[UsageSource]:
        async with far.source(an_instance(), Waits()) as source:
            yield source

    return Kit(opened, lambda: far.fail.update(collect=[transient()]), far.fail.clear)


def report(world: World) -> Kit:
    instance = world.box.instances["emea"]
    source = ReportSource(at=Destination(url=instance.url, token=("token",)), username=instance.username)
    fault = Fault("emea", "/stafftools/reports/all_users.csv", "status", status=404)
    return Kit(world.adapted(source), lambda: world.box.faults.add(fault), world.box.faults.clear)


def ssh(world: World) -> Kit:
    assert world.sshd is not None
    authorized = world.sshd.folder / "authorized"
    text = authorized.read_text()
    source = world.sshd.source(private_key=world.sshd.key)
    return Kit(
        world.adapted(source), lambda: authorized.write_text("") and None, lambda: authorized.write_text(text) and None, exports=True, counts=False
    )  # fmt: skip


def command(world: World) -> Kit:
    printed = world.folder / "printed"
    source = CommandSource(command=("/bin/cat", str(printed)))
    printed.write_bytes(EXPORT)
    return Kit(world.adapted(source), printed.unlink, lambda: printed.write_bytes(EXPORT) and None, exports=True, counts=False)


def file_export(world: World) -> Kit:
    source, spoil, mend = world.dropped("opaque", EXPORT)
    return Kit(world.adapted(source), spoil, mend, exports=True, counts=False)


def file_clear_export(world: World) -> Kit:
    source, spoil, mend = world.dropped("clear", CLEAR)
    return Kit(world.adapted(source), spoil, mend, exports=True)


def file_report(world: World) -> Kit:
    source, spoil, mend = world.dropped("report", CSV)
    return Kit(world.adapted(source), spoil, mend)


def counted(world: World) -> Kit:
    source, spoil, mend = world.dropped("both", EXPORT)
    counts, _, _ = world.dropped("counts", CSV)
    return Kit(world.adapted(source, counts), spoil, mend, exports=True)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving_ssh(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    box = Sandbox(generate_fleet(seed=7, instances=1, people=40))
    box.start()
    for instance in box.instances.values():
        instance.report_ready_after = 0.0
    yield box
    box.stop()


@pytest.fixture(params=[fake, report, ssh, command, file_export, file_clear_export, file_report, counted], ids=lambda one: one.__name__)
def kit(request: pytest.FixtureRequest, tmp_path: Path, box: Sandbox) -> Kit:
    sshd = request.getfixturevalue("sshd") if request.param is ssh else None
    return request.param(World(tmp_path, box, sshd))


async def collect(source: UsageSource, where: Path) -> tuple[Collected, list[Account]]:
    with AccountSpool(where) as spool:
        return await source.collect(spool), list(spool.everyone())


def collect_once(kit: Kit, where: Path) -> tuple[Collected, list[Account]]:
    async def main() -> tuple[Collected, list[Account]]:
        async with kit.opened() as source:
            return await collect(source, where)

    return asyncio.run(main())


def test_counts_and_accounts_agree(kit: Kit, tmp_path: Path) -> None:
    """Each row is counted once, and the spool has the usable ones; an uncountable export is marked as such."""
    collected, accounts = collect_once(kit, tmp_path)
    counts = collected.counts

    assert counts.counted == kit.counts
    assert (counts.rows, counts.rows > 0) == (counts.sent + counts.suspended + counts.unusable, kit.counts)
    assert (len(accounts), sum(one.suspended for one in accounts)) == (counts.sent + counts.suspended, counts.suspended)
    assert counts.without_address == sum(not one.email for one in accounts if not one.suspended)


def test_an_export_is_one_whole_json_object(kit: Kit, tmp_path: Path) -> None:
    """An export is unchanged from its first brace to its last."""
    export = collect_once(kit, tmp_path)[0].export

    assert (export is not None) == kit.exports
    if export is not None:
        assert export.content.startswith(b"{")
        assert export.content.endswith(b"}")
        assert isinstance(json.loads(export.content)["users"], list) == export.is_clear


def test_times_are_utc(kit: Kit, tmp_path: Path) -> None:
    """They are compared with the clock and with each other."""
    collected, _ = collect_once(kit, tmp_path)

    assert collected.collected_at.utcoffset() == timedelta(0)
    assert collected.newest_activity is None or collected.newest_activity.utcoffset() == timedelta(0)


def test_nothing_is_kept_between_calls(kit: Kit, tmp_path: Path) -> None:
    """The same usage gives the same result from any source."""

    async def main() -> list[tuple[Collected, list[Account]]]:
        async with kit.opened() as source, kit.opened() as other:
            return [await collect(source, tmp_path), await collect(source, tmp_path), await collect(other, tmp_path)]

    first, second, third = asyncio.run(main())

    assert (first[0].counts, first[0].export, first[1]) == (second[0].counts, second[0].export, second[1])
    assert (first[0].counts, first[0].export, first[1]) == (third[0].counts, third[0].export, third[1])


def test_a_failure_says_what_to_do_and_passes(kit: Kit, tmp_path: Path) -> None:
    """Any failure is a `RunError` with code, cause and next step; once fixed, the next collection is complete."""
    kit.spoil()

    with pytest.raises(RunError) as failed:
        collect_once(kit, tmp_path)
    assert failed.value.code is not Code.INTERNAL
    assert failed.value.cause
    assert failed.value.next_step

    kit.mend()
    assert collect_once(kit, tmp_path)[0].counts.counted == kit.counts


def test_canceled_it_ends_at_once(kit: Kit, tmp_path: Path) -> None:
    """A run that is canceled is not held up by its source, and the source can be used again."""

    async def main() -> None:
        task = asyncio.create_task(collect_in_task())
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None

    async def collect_in_task() -> None:
        async with kit.opened() as source:
            await collect(source, tmp_path)

    asyncio.run(main())
    assert collect_once(kit, tmp_path)[0].counts.counted == kit.counts
