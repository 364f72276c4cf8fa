"""Properties of a configuration made from what the cloud lists."""

import tomllib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.cli.starter import starter
from licsync_daemon.model.instance import CloudAccount, Destination
from licsync_daemon.model.usage import SyncEntry, SyncStatus
from licsync_daemon.settings import load_config
from tests.fakes import T0

ACCOUNT = CloudAccount(at=Destination(url="https://api.github.com"), enterprise="octo")


def written(*entries: SyncEntry, account: CloudAccount = ACCOUNT) -> str:
    return starter(account, SyncStatus(entries=entries, answered_at=T0))


ENTRIES = st.builds(
    SyncEntry,
    server_id=st.none() | st.sampled_from(["a", "b"]) | st.text(max_size=12),
    hostname=st.none() | st.sampled_from(["ghes.example.com", "GHES.example.com", "ghes.example.org", "10.0.0.7"]) | st.text(max_size=12),
    date=st.none() | st.integers(0, 4000).map(lambda days: T0 - timedelta(days=days)),
    status=st.none() | st.text(max_size=8),
    error=st.none(),
)


@given(st.lists(ENTRIES, max_size=6))
def test_whatever_is_listed_can_be_loaded(tmp_path_factory: pytest.TempPathFactory, entries: list[SyncEntry]) -> None:
    """Every server appears once, and the file is a configuration as soon as one of them can be used."""
    text = written(*entries)
    assert text.count("[instances.") == len(entries)
    if tomllib.loads(text).get("instances"):
        path = tmp_path_factory.mktemp("starter") / "config.toml"
        path.write_text(text, encoding="utf-8")
        load_config(path, {})
