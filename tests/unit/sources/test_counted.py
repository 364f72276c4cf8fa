"""An encrypted export with a second source for its counts."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import Account, Collected, Export, Notice, UsageCounts
from licsync_daemon.sources.counted import CountedUsageSource
from licsync_daemon.state.spool import AccountSpool
from tests.fakes import T0, an_account

EXPORT = Export(content=b"{}", server_id="x", hostname=None, version=None, is_clear=False, is_empty=False)
OPAQUE = Collected(collected_at=T0, version=None, http_only=False, counts=UsageCounts(counted=False), newest_activity=T0, export=EXPORT)
NUMBERS = UsageCounts(rows=1, sent=1, total_users=4, seats_used=3)
NOTICE = Notice(code=Code.REPORT_UNUSABLE_ROWS, text="one")
REPORT = Collected(collected_at=T0 + timedelta(hours=1), version="3.19.2", http_only=True, counts=NUMBERS, notices=(NOTICE,))


@dataclass
class Scripted:
    """A source that returns a given collection."""

    answer: Collected | RunError
    accounts: tuple[Account, ...] = ()

    async def collect(self, spool: AccountSpool) -> Collected:
        if isinstance(self.answer, RunError):
            raise self.answer
        spool.add(self.accounts)
        return self.answer


def collect(where: Path, export: Scripted, counts: Scripted) -> tuple[Collected, list[Account]]:
    with AccountSpool(where) as spool:
        return asyncio.run(CountedUsageSource(export, counts).collect(spool)), list(spool.everyone())


def test_the_export_is_sent_and_the_other_counts(tmp_path: Path) -> None:
    """The export, its time and its identity come from the first source; counts, accounts and notices from the second."""
    collected, accounts = collect(tmp_path, Scripted(OPAQUE), Scripted(REPORT, (an_account(7),)))

    assert collected == replace(OPAQUE, version="3.19.2", counts=NUMBERS, notices=(NOTICE,))
    assert accounts == [an_account(7)]


def test_both_must_be_young(subtests: pytest.Subtests, tmp_path: Path) -> None:
    """The guard on age sees the older of the two."""
    for name, (exported, counted, age) in {
        "old report": (T0, T0 - timedelta(days=9), T0 - timedelta(days=9)),
        "old export": (T0 - timedelta(days=30), T0, T0 - timedelta(days=30)),
        "report without activity": (T0, None, T0),
        "neither": (None, None, None),
    }.items():
        with subtests.test(name):
            collected, _ = collect(
                tmp_path, Scripted(replace(OPAQUE, newest_activity=exported)), Scripted(replace(REPORT, newest_activity=counted))
            )

            assert collected.newest_activity == age


def test_a_clear_export_counts_for_itself(tmp_path: Path) -> None:
    """The second source is not read, so no account is counted twice."""
    clear = replace(OPAQUE, counts=UsageCounts(rows=1, sent=1), export=replace(EXPORT, is_clear=True))

    collected, accounts = collect(tmp_path, Scripted(clear, (an_account(1),)), Scripted(RunError(Code.TIMEOUT, "asked", "do not")))

    assert (collected, accounts) == (clear, [an_account(1)])


def test_without_its_numbers_the_run_fails(tmp_path: Path) -> None:
    """Without counts, a guard would pass what it should hold."""
    with pytest.raises(RunError, match="no report"):
        collect(tmp_path, Scripted(OPAQUE), Scripted(RunError(Code.TIMEOUT, "no report", "wait")))
