"""What Linux tells of a process."""

import re
from pathlib import Path


def memory(pid: int, field: str) -> int:
    """A memory figure of a process, in KiB."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def switches(pid: int) -> int:
    """How often the threads of a process have given up the processor by themselves: its wake-ups."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (thread / "status").read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total
