"""The first configuration: a table a server, names that can be used, doubles commented out; whatever is listed, it can be loaded."""

import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.cli.starter import starter
from licsync_daemon.model.instance import CloudAccount, ConnectDelivery, Destination, NoSource
from licsync_daemon.model.usage import SyncEntry, SyncStatus
from licsync_daemon.settings import load_config
from tests.fakes import T0

ACCOUNT = CloudAccount(at=Destination(url="https://api.github.com"), enterprise="octo")


def entry(hostname: str | None, server_id: str | None = None, days: int | None = 1, status: str | None = "success") -> SyncEntry:
    date = None if days is None else T0 - timedelta(days=days)
    return SyncEntry(server_id=server_id, hostname=hostname, date=date, status=status, error=None)


def written(*entries: SyncEntry, account: CloudAccount = ACCOUNT) -> str:
    return starter(account, SyncStatus(entries=entries, answered_at=T0))


def instances(*entries: SyncEntry) -> dict[str, dict[str, str]]:
    return tomllib.loads(written(*entries)).get("instances", {})


def test_a_server_is_a_table_with_its_last_sync_beside_it(tmp_path: Path) -> None:
    """What is written is a configuration: GitHub Connect carries the usage, and nothing is read from the instance."""
    text = written(entry("GHES-emea.example.com", "id-1"), entry("ghes-apac.example.com", "id-2", days=None))
    path = tmp_path / "config.toml"
    path.write_text(text)

    loaded = load_config(path, {})

    assert [(one.name, one.hostname, one.server_id) for one in loaded.config.instances] == [
        ("ghes_apac", "ghes-apac.example.com", "id-2"),
        ("ghes_emea", "ghes-emea.example.com", "id-1"),
    ]
    assert {(type(one.delivery), type(one.source)) for one in loaded.config.instances} == {(ConnectDelivery, NoSource)}
    assert (loaded.config.cloud.enterprise, loaded.config.cloud.at.url) == ("octo", "https://api.github.com")
    assert text.startswith("# Servers that the cloud listed for the enterprise octo on 2026-11-24 at 02:00 UTC.\n")
    assert "\n# never synced\n[instances.ghes_apac]\n" in text
    assert "\n# last sync 2026-11-23 02:00 UTC, success\n[instances.ghes_emea]\n" in text


def test_what_is_named_as_not_ours_stays_so(tmp_path: Path) -> None:
    """A server of another daemon, and one that is gone, get no table: both lists stand in the new configuration as well."""
    account = replace(ACCOUNT, elsewhere=("ghes-us.example.com",), retired=("id-old",))
    text = written(
        entry("ghes-us.example.com", "id-us"), entry("ghes-emea.example.com", "id-old"), entry("ghes-emea.example.com", "id-new", days=3),
        account=account,
    )  # fmt: skip
    path = tmp_path / "config.toml"
    path.write_text(text)

    loaded = load_config(path, {}).config

    assert [(one.hostname, one.server_id) for one in loaded.instances] == [("ghes-emea.example.com", "id-new")]
    assert (loaded.cloud.elsewhere, loaded.cloud.retired) == (account.elsewhere, account.retired)
    assert "# skipped: it is listed in [cloud] elsewhere\n# [instances.ghes_us]\n" in text
    assert "# skipped: it is listed in [cloud] retired\n" in text


def test_names_are_made_from_hostnames(subtests: pytest.Subtests) -> None:
    """Short where it can be, unique, and addressable by environment variables."""
    for hosts, names in (
        (["a.example.com", "a.example.org"], ["a", "a_example_org"]),
        (["GHES--EMEA.example.com"], ["ghes_emea"]),
        (["10.0.0.7"], ["ghes_10_0_0_7"]),
        (["2nd.example.com"], ["ghes_2nd"]),
        (["a.b", "a-b", "a.b-"], ["a", "a_b", "a_b_2"]),
        (["ghes.example.com:8443"], ["ghes"]),
        (["bücher.example.com"], ["b_cher"]),
    ):
        with subtests.test(hosts=hosts, names=names):
            text = written(*(entry(host, f"id-{n}", days=n + 1) for n, host in enumerate(hosts)))
            assert {
                line.removeprefix("# ").removeprefix("[instances.").rstrip("]") for line in text.splitlines() if "[instances." in line
            } == set(names)


@pytest.mark.parametrize("newer_first", [True, False])
def test_row_26_two_servers_of_one_hostname(newer_first: bool) -> None:
    """Both are listed; the one synced longer ago is commented out with the reason."""
    both = [entry("ghes.example.com", "new", days=1), entry("GHES.example.com:443", "old", days=30)]
    text = written(*(both if newer_first else reversed(both)))
    (only,) = tomllib.loads(text)["instances"].values()
    assert only == {"hostname": "ghes.example.com", "server_id": "new"}
    assert '# server_id = "old"' in text
    assert text.count("# skipped: another server with this hostname synced more recently") == 1


def test_row_25_one_server_under_two_hostnames() -> None:
    """A server that was renamed is one instance, under its newer name."""
    assert instances(entry("old.example.com", "same", days=9), entry("new.example.com", "same", days=1)) == {
        "new": {"hostname": "new.example.com", "server_id": "same"}
    }


def test_a_hostname_that_cannot_be_used_is_commented_out(subtests: pytest.Subtests) -> None:
    """The server is not lost: it stands there with the reason."""
    for hostname in (None, "no host", "under_score", "x" * 300, "127.0.0.1/x", "a\nb", 'a"b'):
        with subtests.test(hostname=hostname):
            text = written(entry(hostname, "id-1"), entry("ghes.example.com", "id-2"))
            assert list(tomllib.loads(text)["instances"]) == ["ghes"]
            assert "# skipped: " in text
            assert '# server_id = "id-1"' in text


def test_how_the_cloud_was_reached_is_kept() -> None:
    """The proxy that was needed to ask will be needed again."""
    at = Destination(url="https://api.octo.ghe.com", proxy="http://proxy.example.com:3128", ca_file=Path("/etc/ssl/own.pem"))
    cloud = tomllib.loads(written(entry("a.example.com"), account=CloudAccount(at=at, enterprise="octo")))["cloud"]
    assert cloud == {
        "enterprise": "octo",
        "api_url": "https://api.octo.ghe.com",
        "proxy": "http://proxy.example.com:3128",
        "ca_file": "/etc/ssl/own.pem",
    }
