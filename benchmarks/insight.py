"""How long the forecast and the search for duplicates take, and how much memory: `python -m benchmarks.insight forecast|duplicates COUNT`.

A process of its own for each, so that its peak is nobody else's. Counts are accounts; people are streamed as a reader of files would.
"""

import os
import sys
import time
from collections.abc import Iterator

from benchmarks.made_up import made_up
from benchmarks.proc import memory
from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.duplicates import find_duplicates
from licsync_daemon.insight.forecast import forecast
from licsync_daemon.insight.values import Instance, Person, ServerAccount

MIB = 1024
INSTANCES = [Instance(name=f"i{n}", hostname=f"ghes-{n}.example.com") for n in range(4)]


def main(what: str, count: int) -> int:
    """Print one line of figures."""
    began = clock()
    if what == "forecast":
        found = forecast(Cloud(_people(count * 3 // 10), instances=INSTANCES), _accounts(count))
        said = f"forecast of {count:,} accounts against {count * 3 // 10:,} people ({found.high:,} seats)"
    else:
        fleet = made_up(1, count * 3 // 5)
        began = clock()
        duplicates = find_duplicates(Cloud(fleet.people, instances=fleet.instances), fleet.people, fleet.accounts)
        many = len(duplicates.suggestions)
        said = f"{many:,} likely duplicates of {len(fleet.accounts):,} accounts against {len(fleet.people):,} people"
    wall, processor = (now - then for now, then in zip(clock(), began, strict=True))
    print(f"{said}: {wall:.1f} s ({processor:.1f} s of a processor), peak {memory(os.getpid(), 'VmHWM') / MIB:.0f} MiB")
    return 0


def clock() -> tuple[float, float]:
    """Return the time, and the time that this process had a processor."""
    return time.perf_counter(), time.process_time()


def _people(count: int) -> Iterator[Person]:
    for n in range(count):
        if n % 5 == 0:
            yield Person(server_ids=(("ghes-3.example.com", str(n)),), server_emails=(f"only{n}@corp.example",))
        else:
            yield Person(
                login=f"user-name-{n}",
                name=f"Person {n}",
                verified_emails=(f"person.name{n}@corp.example",) if n % 4 else (),
                saml_name_id=f"nid{n}@corp.example" if n % 2 else "",
                server_ids=tuple((f"ghes-{i}.example.com", str(2 * n + i)) for i in range(2)) if n % 3 == 0 else (),
                in_cloud=True,
            )


def _accounts(count: int) -> Iterator[ServerAccount]:
    for n in range(count):
        address = f"person.name{n * 7 % (count * 9 // 10)}@Corp.example" if n % 50 else ""
        yield ServerAccount(instance=f"i{n % 4}", id=str(n // 4), login=f"login-{n}", email=address, suspended=n % 20 == 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
