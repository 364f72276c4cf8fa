"""The `CloudReader` port over every implementation: an enterprise and an organization of the sandbox, and the fake of the unit tests."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

import pytest

from licsync_daemon.daemon.connections import Connections
from licsync_daemon.http.clients import Clients
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import CloudAccount, Destination
from licsync_daemon.model.ports import Adapters, CloudReader
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from licsync_daemon.settings.credentials import Credentials
from tests.fakes import FakeClock, FakeWorld, Waits


@dataclass
class World:
    """One cloud: how to reach it, how to sync a server, and how many it can list."""

    adapters: Adapters
    sync: Callable[[], object]
    lists: int

    def read(self, ask: Callable[[CloudReader], Awaitable[object]]):
        async def main() -> object:
            async with self.adapters.cloud(Waits()) as cloud:
                return await ask(cloud)

        return asyncio.run(main())


def adapters_of(box: Sandbox, *, organization: bool) -> Connections:
    account = CloudAccount(at=Destination(url=box.cloud_api_url, token=("cloud__token",)))
    account = replace(account, organization=box.enterprise) if organization else replace(account, enterprise=box.enterprise)
    credentials = Credentials(Path("/nowhere"), {"LICSYNC_CLOUD__TOKEN": box.cloud_token}, Path("/nowhere"))
    return Connections(Clients(account, credentials), FakeClock())


@contextlib.contextmanager
def far_sides() -> Iterator[World]:
    world = FakeWorld(clock=FakeClock())
    yield World(world, lambda: world.sync("server-emea"), 1)


@contextlib.contextmanager
def sandbox(*, organization: bool) -> Iterator[World]:
    with Sandbox(generate_fleet(seed=5, instances=2, people=150), processing_delay=0.0) as box:
        yield World(adapters_of(box, organization=organization), lambda: box.push("emea"), 0 if organization else 1)


@pytest.fixture(params=["fake", "enterprise", "organization"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with far_sides() if request.param == "fake" else sandbox(organization=request.param == "organization") as world:
        yield world


def test_one_reply_lists_every_server_and_is_dated_by_the_cloud(world: World) -> None:
    """The date of the response is aware UTC in whole seconds, and not before a listed sync."""
    world.sync()
    status = world.read(lambda cloud: cloud.sync_status())
    assert len(status.entries) == world.lists
    assert (status.answered_at.tzinfo, status.answered_at.microsecond) == (UTC, 0)
    assert all(entry.date <= status.answered_at for entry in status.entries)


def test_nothing_is_listed_before_the_first_sync(world: World) -> None:
    """A cloud without servers is not an error."""
    assert world.read(lambda cloud: cloud.sync_status()).entries == ()


def test_asking_again_tells_what_happened_meanwhile(world: World) -> None:
    """No reader returns an older status than the cloud's."""
    before = world.read(lambda cloud: cloud.sync_status())
    world.sync()
    after = [world.read(lambda cloud: cloud.sync_status()) for _ in range(2)]
    assert [len(one.entries) for one in (before, *after)] == [0, world.lists, world.lists]
    assert after[0].entries == after[1].entries


def test_the_seats_are_totals(world: World) -> None:
    """Both numbers are known if the cloud reports them."""
    totals = world.read(lambda cloud: cloud.seats())
    assert totals.consumed > 0
    assert totals.purchased > 0


def test_installations_are_listed_or_unknown(world: World) -> None:
    """None is not an empty fleet: it means unknown."""
    world.sync()
    found = world.read(lambda cloud: cloud.installations())
    assert found is None or len(found) == 1


def test_people_come_once_each(world: World) -> None:
    """As many as seats, where the cloud has a list of them."""
    world.sync()

    async def everybody(cloud: CloudReader) -> tuple[int, int]:
        people = [one async for one in cloud.people()]
        assert len({one.key for one in people}) == len(people)
        return len(people), (await cloud.seats()).consumed

    people, seats = world.read(everybody)
    assert people in {0, seats}


def test_an_organization_shows_its_plan_only() -> None:
    """The seats of the plan, no servers, no people, and no GraphQL query."""
    with Sandbox(generate_fleet(seed=5, instances=2, people=150), processing_delay=0.0) as box:
        box.push("emea")
        world = World(adapters_of(box, organization=True), lambda: None, 0)
        totals = world.read(lambda cloud: cloud.seats())
        assert (totals.consumed, totals.purchased) == (box.cloud.seats(), box.fleet.seats_purchased)
        assert world.read(lambda cloud: cloud.installations()) is None
        status = world.read(lambda cloud: cloud.sync_status())
        assert (status.exists, status.entries, status.answered_at is not None) == (False, (), True)
        assert {one.path for one in box.requests} == {f"/orgs/{box.enterprise}"}


def test_an_organization_that_is_not_there_is_named() -> None:
    """What to check is the organization, not an enterprise."""
    with Sandbox(generate_fleet(seed=5, instances=1, people=20)) as box:
        adapters = adapters_of(box, organization=True)
        account = replace(adapters.clients.account, organization="nobody")
        adapters = replace(adapters, clients=replace(adapters.clients, account=account))
        with pytest.raises(RemoteError) as caught:
            World(adapters, lambda: None, 0).read(lambda cloud: cloud.seats())
    assert caught.value.code is Code.NOT_FOUND
    assert "cloud.organization" in caught.value.next_step


def test_the_mark_of_an_answer_outlives_its_connection() -> None:
    """Each check opens a new reader; the adapters keep earlier responses."""
    with Sandbox(generate_fleet(seed=5, instances=2, people=20), processing_delay=0.0, quirks="off") as box:
        world = World(adapters_of(box, organization=False), lambda: None, 1)
        box.push("emea")
        first, second = (world.read(lambda cloud: cloud.sync_status()) for _ in range(2))
        box.clock.advance(60)
        box.push("emea")
        third = world.read(lambda cloud: cloud.sync_status())
        assert [one.status for one in box.requests] == [200, 304, 200]
    assert first.entries == second.entries != third.entries
    assert third.entries[0].date > second.answered_at


def test_what_the_headers_told_is_kept_by_host() -> None:
    """`check` shows it: the version chosen, the token's scopes, and what will go away."""
    with Sandbox(generate_fleet(seed=5, instances=1, people=20)) as box:
        adapters = adapters_of(box, organization=False)
        box.cloud_app.extra_headers = (("Sunset", "Tue, 24 Nov 2026 02:00:00 GMT"), ("Deprecation", "@1688169599"))
        World(adapters, lambda: None, 1).read(lambda cloud: cloud.sync_status())
        (told,) = adapters.facts.values()
    assert (told.scopes, told.api_version, told.deprecation, told.remaining) == (("read:enterprise",), "2022-11-28", "@1688169599", 4999)
    assert told.sunset_at.isoformat() == "2026-11-24T02:00:00+00:00"
