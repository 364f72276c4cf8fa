"""How much memory and state a million accounts take: their digests kept with a delivery, confirmed, and compared a week later.

A process of its own, so that its peak is nobody else's: `python -m benchmarks.million [COUNT]`. The accounts come from the spool of a run,
as they do in service; what the spool takes on disk is gone with the run.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.proc import memory
from licsync_daemon.model.run import Baseline, DeliveryOutcome, DeliveryRecord
from licsync_daemon.model.store import StateStore
from licsync_daemon.model.usage import Account, ServerIdentity
from licsync_daemon.rules.digests import compare, digest_of, pack, unpack
from licsync_daemon.state.files import open_state, prepare_state_dir
from licsync_daemon.state.spool import AccountSpool

MIB = 1024
AT_ONCE = 500
KEY = b"a key of this measurement"
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
RECORD = DeliveryRecord(
    key="key", instance="emea", run_id="run", slot=NOW, content_hash="sha256:0", sent=0,
    identity=ServerIdentity(hostname="emea", server_id=None),
    baseline=Baseline(date=None, answered_at=None, entry=""), opened_at=NOW,
)  # fmt: skip


def main(count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        state_dir = Path(folder) / "state"
        prepare_state_dir(state_dir)
        store = open_state(state_dir, NOW).store
        keep(store, state_dir, 1000)  # what any number of accounts needs
        few = memory(os.getpid(), "VmHWM")
        kept_s, compared_s = keep(store, state_dir, count)
        grown = memory(os.getpid(), "VmHWM") - few
        size = (state_dir / "state.db").stat().st_size
        store.close()
    print(f"{count:,} accounts of one instance: digests kept in {kept_s:.1f} s, compared in {compared_s:.1f} s")
    print(f"  {grown / MIB:.1f} MiB more at the peak than 1,000 accounts; {size / MIB**2:.1f} MiB of state")
    return 0


def keep(store: StateStore, state_dir: Path, count: int) -> tuple[float, float]:
    """Stage the digests of so many accounts, confirm them, and compare them with the next collection; answer how long both took."""
    with AccountSpool(state_dir) as spool:
        for first in range(1, count + 1, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count + 1))
            spool.add([Account(number, f"user{number}", f"user{number}@example.com", number % 20 == 0) for number in numbers])
        began = time.perf_counter()
        record = replace(RECORD, key=f"key{count}", sent=count)
        store.save_delivery(record)
        store.stage_digests("emea", record.key, pack(digest_of(account, KEY) for account in spool.everyone()))
        store.save_delivery(replace(record, closed_at=NOW, outcome=DeliveryOutcome.CONFIRMED))
        kept_s = time.perf_counter() - began
        began = time.perf_counter()
        before = store.confirmed_digests("emea")
        assert before is not None
        changes = compare(unpack(before), (digest_of(account, KEY) for account in spool.everyone()))
        assert (changes.added, changes.removed, changes.address_changed) == (0, 0, 0)
        return kept_s, time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
