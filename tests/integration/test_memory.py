"""Memory that does not grow with the data."""

import tracemalloc
from collections.abc import Iterable

from licsync_daemon.model.run import Changes
from licsync_daemon.rules.digests import Digest, compare, digest_of, pack, unpack
from tests.fakes import an_account

KEY = b"a key of this test"


def peak_bytes(count: int) -> int:
    """Compare and pack two usages of so many accounts, both as streams; return the peak memory use."""

    def usage(shift: int) -> Iterable[Digest]:
        return (digest_of(an_account(number + shift), KEY) for number in range(count))

    tracemalloc.start()
    try:
        changes = compare(unpack(pack(usage(0))), unpack(pack(usage(1))))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert changes == Changes(added=1, removed=1)
    return peak


def test_memory_does_not_grow_with_the_accounts() -> None:
    """Three times the accounts need the memory of a few chunks all the same."""
    small, large = peak_bytes(9_000), peak_bytes(27_000)
    assert large < 1_000_000
    assert large < small * 1.2
