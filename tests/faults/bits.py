"""Flip single bits in a state file that holds something of everything, and use the file with every reader."""

import contextlib
import io
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from functools import cache
from pathlib import Path

from licsync_daemon.cli.main import main
from licsync_daemon.model.errors import LicsyncError, StateDamagedError, StateUnwritableError
from licsync_daemon.model.run import DeliveryOutcome, RunState, SeatRecord
from licsync_daemon.model.usage import Listing
from licsync_daemon.state import files
from licsync_daemon.state.sqlite import SqliteStore
from tests.fakes import T0, a_decision, a_delivery, a_run, an_alert, an_ended_run, an_entry

FLIPS = 1500
IN_SCHEMA = 300  # of them, in the text of tables and indexes
OF_THE_DISK = "free disk space"  # a next step that a flipped bit must not have
WORKERS = 2
SEED = 20261124
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # 1,500 files, each written durably
CRASH, REFUSED, SET_ASIDE, CHANGED, UNSEEN = (
    "a crash",
    "refused, and the file set aside",
    "read, with a row set aside",
    "a value changed unnoticed",
    "no visible effect",
)
CONFIG = """state_dir = "{folder}/state"
credentials_dir = "{folder}"
[cloud]
enterprise = "octo"
[defaults]
delivery = {{ kind = "http", url = "https://relay.example.com/uploads" }}
[instances.emea]
hostname = "ghes-emea.example.com"
source = {{ kind = "report", username = "reader" }}
"""


def fill(store: SqliteStore) -> None:
    """Record runs, deliveries, digests, alerts, decisions, a listing and seats."""
    for number in range(40):
        state = RunState.CONFIRMED if number % 3 else RunState.FAILED
        store.save_run(an_ended_run(f"run{number}", state, started_at=T0 + timedelta(hours=number)), T0)
    for number in range(3):
        key = f"key{number}"
        store.stage_digests("emea", key, [bytes(range(256)) * 2] * 4)
        ended = {"outcome": DeliveryOutcome.CONFIRMED, "closed_at": T0 + timedelta(hours=number)} if number < 2 else {}
        store.save_delivery(a_delivery(key, run_id=f"run{number}", **ended))
        store.save_alert(
            an_alert(opened_at=T0 + timedelta(hours=number), closed_at=T0 + timedelta(hours=number, minutes=5) if number < 2 else None)
        )
    store.save_run(a_run("held", started_at=T0 + timedelta(days=3)), T0)
    store.save_decision(a_decision())
    store.save_listing(Listing(entries=(an_entry(),), read_at=T0))
    store.save_seats(SeatRecord(read_at=T0, consumed=1, purchased=2))


def dump(store: SqliteStore) -> str:
    """Return everything that the program can read from the state."""
    names = [one.name for one in store.instances()] or ["emea"]
    runs = store.runs(limit=1000)
    every = [
        store.instances(),
        runs,
        store.open_alerts(),
        store.unsent_closings(T0 - timedelta(days=1)),
        store.decisions(),
        store.listing(),
        store.seats(),
    ]
    every += [store.transitions(run.run_id) for run in runs]
    every += [part(name) for name in names for part in (store.deliveries, store.held_run, store.open_run, store.open_delivery)]
    every += [[bytes(chunk) for chunk in store.confirmed_digests(name) or ()] for name in names]
    return repr(every)


@cache
def sample() -> bytes:
    """Return the bytes of the undamaged file."""
    with tempfile.TemporaryDirectory() as folder:
        files.prepare_state_dir(Path(folder) / "state")
        with closing(files.open_state(Path(folder) / "state", T0).store) as store:
            fill(store)
        return (Path(folder) / "state" / files.FILE).read_bytes()


def use(data: bytes) -> tuple[str, str]:
    """Return what became of a file with these bytes, and its content or the crash."""
    with tempfile.TemporaryDirectory(prefix="licsync-bits-", dir=MEMORY) as name:
        folder = Path(name)
        files.prepare_state_dir(folder / "state")
        path = folder / "state" / files.FILE
        path.write_bytes(data)
        path.chmod(0o600)
        config = folder / "config.toml"
        config.write_text(CONFIG.format(folder=folder))
        try:
            complaints = io.StringIO()
            with contextlib.redirect_stderr(complaints):
                codes = [main(["--config", str(config), command]) for command in ("status", "history")]
            if OF_THE_DISK in complaints.getvalue():
                return CRASH, complaints.getvalue()
            with closing(_Opened(folder / "state")) as opened:
                content = dump(opened.store)
                if opened.set_aside is not None:
                    return REFUSED, ""
        except StateUnwritableError as error:
            return (REFUSED if isinstance(error, StateDamagedError) else CRASH), str(error)
        except LicsyncError as error:  # a message and an exit code
            return REFUSED, str(error)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            return CRASH, f"{type(error).__name__}: {error}"
        if any(codes):
            return REFUSED, f"exit codes {codes}"
        with closing(sqlite3.connect(path)) as db:
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'set_aside'").fetchone():
                return SET_ASIDE, content
        return "", content


class _Opened:
    def __init__(self, folder: Path) -> None:
        opened = files.open_state(folder, T0, sleep=lambda _: None)
        self.store, self.set_aside = opened.store, opened.set_aside

    def close(self) -> None:
        self.store.close()


def _quiet() -> None:
    """Print nothing from a worker: only results count."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def flip(job: tuple[bytes, str, int]) -> tuple[str, str, int]:
    data, sound, bit = job
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    result, content = use(bytes(damaged))
    if not result:
        result = UNSEEN if content == sound else CHANGED
    return result, content, bit


def schema_bits(data: bytes) -> list[int]:
    """Return the bits of the text of every table and index."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(data)
        texts = [text.encode() for (text,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    return [8 * data.index(text) + bit for text in texts for bit in range(8 * len(text))]


def table(flips: int = FLIPS) -> bool:
    """Print the table; return whether nothing crashed."""
    began = time.monotonic()
    data = sample()
    dice = random.Random(SEED)
    bits = dice.sample(range(len(data) * 8), flips - min(flips, IN_SCHEMA)) + dice.sample(schema_bits(data), min(flips, IN_SCHEMA))
    with multiprocessing.get_context("spawn").Pool(WORKERS, _quiet) as pool:
        result, sound = pool.apply(use, (data,))
        if result:
            print(f"the undamaged file: {result}: {sound}")
            return False
        found = list(pool.imap_unordered(flip, [(data, sound, bit) for bit in bits], chunksize=20))
    counts = Counter(result for result, _, _ in found)
    print(f"{'single bit flipped':34} {'times':>6}")
    for each in (CRASH, REFUSED, SET_ASIDE, CHANGED, UNSEEN):
        print(f"{each:34} {counts[each]:6}")
    for result, content, bit in found:
        if result == CRASH:
            print(f"  bit {bit}: {content[:200]}")
    print(f"{flips} flips in a file of {len(data):,} bytes, {time.monotonic() - began:.0f} s", flush=True)
    return not counts[CRASH]


if __name__ == "__main__":
    sys.exit(not table(int((sys.argv[1:] or [FLIPS])[0])))
