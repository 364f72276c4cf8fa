"""Print the four tables of `make faults`; exit 1 if a row is wrong.

Usage: `python -m tests.faults [WORD ...]`. With words, only the servers whose name contains one of them are run.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.faults import hostile


def main(words: Sequence[str]) -> int:
    """Run the servers beside the other tables, which are processes of their own: the memory of this one counts as a child's."""
    began, code = time.monotonic(), 0
    with ThreadPoolExecutor(1) as pool:
        servers = pool.submit(hostile.rows, words)
        for name in ("injected", "bits", "streams") if not words else ():
            code |= subprocess.run([sys.executable, "-m", f"tests.faults.{name}"], check=False).returncode
            print(flush=True)
        code |= not hostile.show(servers.result())
    print(f"{time.monotonic() - began:.0f} s")
    return min(code, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
