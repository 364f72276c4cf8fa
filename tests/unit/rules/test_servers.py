"""What the cloud lists beside what is configured."""

import pytest

from licsync_daemon.model.instance import CloudAccount, Config, Destination
from licsync_daemon.model.usage import Listing, SyncEntry
from licsync_daemon.rules.servers import NAMED, Findings, SecondServer, compare, problems
from tests.fakes import T0, a_config, an_entry, an_instance

OTHER = an_entry(server_id="server-x", hostname="ghes-x.example.com")


def found(*entries: SyncEntry, config: Config | None = None) -> Findings:
    return compare(Listing(entries=entries, read_at=T0), config or a_config(an_instance()))


def with_cloud(**changes: object) -> Config:
    return a_config(an_instance(), cloud=CloudAccount(at=Destination(url="https://api.github.com"), enterprise="octo", **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "server_id"),
    [
        (an_entry(), "server-emea"),
        (an_entry(hostname="renamed.example.com"), "server-emea"),
        (an_entry(hostname="GHES-emea.example.com:443"), None),
        (an_entry(server_id=None), "server-emea"),
        (an_entry(server_id=None), None),
    ],
    ids=["both", "by its id", "by its name", "the list has no id", "nobody has an id"],
)
def test_an_instance_finds_itself(entry: SyncEntry, server_id: str | None) -> None:
    """By server ID where both sides have one, else by hostname: then there is nothing to say."""
    assert found(entry, config=a_config(an_instance(server_id=server_id))) == Findings(read_at=T0)


def test_an_unknown_server_is_an_orphan() -> None:
    """A server that matches no instance is listed, as is one without any name."""
    nameless = an_entry(server_id="server-y", hostname=None)
    assert found(an_entry(), OTHER, nameless).orphans == (OTHER, nameless)


@pytest.mark.parametrize("name", ["server-x", "ghes-x.example.com", "GHES-X.example.com"], ids=["id", "hostname", "other case"])
@pytest.mark.parametrize("key", ["elsewhere", "retired"])
def test_an_excluded_server_is_no_orphan(key: str, name: str) -> None:
    """It is listed separately, by server ID or by hostname."""
    findings = found(an_entry(), OTHER, config=with_cloud(**{key: (name,)}))
    assert findings == Findings(read_at=T0, **{key: (OTHER,)})  # type: ignore[arg-type]
    assert problems(findings) == ()


@pytest.mark.parametrize(
    ("changes", "missing"),
    [({}, ("emea",)), ({"enabled": False}, ()), ({"unsynced_because": "data stays on site"}, ())],
    ids=["active", "disabled", "never synced"],
)
def test_an_instance_that_is_not_listed_is_missing(changes: dict[str, object], missing: tuple[str, ...]) -> None:
    """Unless it is never synced there."""
    assert found(config=a_config(an_instance(**changes))).missing == missing


@pytest.mark.parametrize(
    ("configured", "listed", "second"),
    [
        ("server-emea", ["server-emea", "server-new"], ("server-new",)),
        ("server-emea", ["server-new"], ("server-new",)),
        (None, ["server-old", "server-new"], ("server-new", "server-old")),
        (None, ["server-new"], None),
        ("server-emea", ["server-emea"], None),
    ],
    ids=["beside ours", "instead of ours", "two, and ours is unknown", "one, and ours is unknown", "ours alone"],
)
def test_a_second_server_behind_a_hostname(configured: str | None, listed: list[str], second: tuple[str, ...] | None) -> None:
    """Every server ID of the hostname that is not the instance's; without a known id it takes two to be one too many."""
    findings = found(*(an_entry(server_id=one) for one in listed), config=a_config(an_instance(server_id=configured)))
    beside = configured is None or configured in listed
    expected = (SecondServer("emea", "ghes-emea.example.com", second, beside),) if second else ()
    assert (findings.second_servers, findings.orphans) == (expected, ())
    assert findings.missing == (("emea",) if configured and configured not in listed else ())


def test_a_former_server_is_none_too_many_once_it_is_named() -> None:
    """Naming the old server ID as retired ends the warning; the one that lives is still found."""
    old = an_entry(server_id="server-old")
    assert found(an_entry(), old, config=with_cloud(retired=("server-old",))) == Findings(read_at=T0, retired=(old,))


def test_an_instance_by_id_is_preferred_to_one_by_hostname() -> None:
    """A server ID under the hostname of another instance belongs to whom the id belongs to."""
    config = a_config(an_instance("emea"), an_instance("apac"))
    moved = an_entry(server_id="server-apac", hostname="ghes-emea.example.com")
    assert found(an_entry(), moved, config=config) == Findings(read_at=T0)


def test_an_instance_is_not_missing_because_a_copy_has_its_id() -> None:
    """A copy was configured with the id that the cloud lists for the original, which is known by its hostname."""
    config = a_config(an_instance("emea", server_id=None), an_instance("copy", server_id="server-emea"))
    assert found(an_entry(), config=config) == Findings(read_at=T0)


def test_every_finding_has_a_next_step() -> None:
    """One sentence and one next step each, without any text that a server might put into a name."""
    findings = found(
        an_entry(server_id="server-new"),
        an_entry(server_id="server-apac", hostname="ghes-apac.example.com"),
        an_entry(server_id="server-x", hostname="ghes-apac.example.com"),
        an_entry(server_id=None, hostname="evil\x1b[31m.example.com"),
        an_entry(server_id=None, hostname=None),
        config=a_config(an_instance("emea"), an_instance("apac"), an_instance("labs")),
    )
    said = problems(findings)
    assert [(one.where, one.what) for one in said] == [
        ("cloud", "the cloud also lists evil.example.com, which is not in the configuration"),
        ("cloud", "the cloud also lists a server without a hostname, which is not in the configuration"),
        ("instances.labs", "the cloud does not list labs"),
        (
            "instances.emea",
            "the cloud lists ghes-emea.example.com under the server ID server-new, not under its own: was the instance rebuilt or copied?",
        ),
        (
            "instances.apac",
            "the cloud lists ghes-apac.example.com under the server ID server-x as well: was the instance rebuilt or copied?",
        ),
    ]
    assert ["[cloud] elsewhere" in one.hint for one in said] == [True, True, False, False, False]
    assert all(one.hint for one in said)


def test_without_a_list_nothing_is_reported() -> None:
    """Without a list nothing is missing."""
    assert problems(None) == ()


def test_only_some_of_many_servers_are_named() -> None:
    """A message names 20 servers and counts the others."""
    config = a_config(an_instance("emea"))
    every = problems(
        found(an_entry(), *(an_entry(server_id=f"id-{number}", hostname=f"h{number}.example.com") for number in range(5000)), config=config)
    )
    assert len(every) == NAMED + 1
    assert every[-1].what == "the cloud also lists 4,980 more servers that are not in the configuration"
    (again,) = problems(found(an_entry(), *(an_entry(server_id=f"id-{number}") for number in range(5000)), config=config))
    assert ", and 4,980 more as well" in again.what
