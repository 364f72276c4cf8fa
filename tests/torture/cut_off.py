"""A leader whose packets are dropped, in a network namespace of its own: `unshare --net python -m tests.torture.cut_off FOLDER`.

Prints how many seconds it takes until the leader's next call fails, and until another session leads, both from the cut.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from licsync_daemon.model.errors import LockedError, StateUnreachableError
from licsync_daemon.state.postgresql import connect
from licsync_daemon.state.session import SessionLeases
from licsync_daemon.system.clock import SystemClock
from tests import postgresql
from tests.tools import tool


def loopback(state: str) -> None:
    subprocess.run([tool("ip"), "link", "set", "lo", state], check=True, timeout=10)


def leases(address: str) -> SessionLeases:
    engine = connect(address, None, create=True)
    assert engine is not None
    return SessionLeases(engine, SystemClock(), role="daemon")


def main(folder: Path) -> None:
    loopback("up")
    with postgresql.running(folder) as server, server.database() as address:
        old = leases(address)
        lease = old.daemon()
        began = time.monotonic()
        loopback("down")
        failed_s = leads_s = None
        try:
            lease.touch()
        except StateUnreachableError:
            failed_s = time.monotonic() - began
        loopback("up")
        new = leases(address)
        while leads_s is None and time.monotonic() - began < 120:
            try:
                new.daemon()
                leads_s = time.monotonic() - began
            except LockedError:
                time.sleep(1)
        print(json.dumps({"failed_s": failed_s, "leads_s": leads_s}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
