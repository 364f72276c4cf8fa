"""Usages compared by their digests: nobody's address is kept, nothing of size is held in memory."""

import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.model.run import Changes
from licsync_daemon.model.usage import Account
from licsync_daemon.rules.digests import CHUNK_RECORDS, RECORD, Digest, compare, digest_of, pack, unpack
from tests.fakes import an_account

KEY = b"a key of this test"


def digests(*accounts: Account, key: bytes = KEY) -> list[Digest]:
    return [digest_of(account, key) for account in accounts]


MONA, ANNE = an_account(1), an_account(2)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((), (), Changes()),
        ((MONA, ANNE), (MONA, ANNE), Changes()),
        ((), (MONA, ANNE), Changes(added=2)),
        ((MONA, ANNE), (), Changes(removed=2)),
        ((MONA,), (ANNE,), Changes(added=1, removed=1)),
        ((MONA, ANNE), (MONA,), Changes(removed=1)),
        ((MONA, ANNE), (ANNE,), Changes(removed=1)),
        ((MONA,), (an_account(1, email="new@example.com"),), Changes(address_changed=1)),
        ((MONA,), (an_account(1, email="USER1@Example.COM"),), Changes()),
        ((MONA,), (an_account(1, email=""),), Changes(address_changed=1)),
        ((an_account(1, email=""),), (MONA,), Changes(address_changed=1)),
        ((an_account(1, email=""),), (an_account(1, email=""),), Changes()),
        ((MONA,), (an_account(1, suspended=True),), Changes(suspended=1)),
        ((an_account(1, suspended=True),), (MONA,), Changes(unsuspended=1)),
        ((MONA,), (an_account(1, suspended=True, email="x@y.zz"),), Changes(suspended=1, address_changed=1)),
        ((MONA,), (an_account(1, login="renamed"),), Changes()),
        ((an_account(1, suspended=True),), (), Changes(removed=1)),
        ((), (an_account(2**63 - 1, suspended=True),), Changes(added=1)),
    ],
    ids=[
        "nothing at all", "nothing changed", "first accounts", "all gone", "one for another", "the last gone", "the first gone", "another address",
        "spelt otherwise", "address lost", "address found", "none as ever", "suspended", "unsuspended", "two changes", "renamed", "a suspended one gone",
        "a suspended one came",
    ],
)  # fmt: skip
def test_compare(before: tuple[Account, ...], after: tuple[Account, ...], expected: Changes) -> None:
    """Accounts are matched by their number; logins say nothing, and addresses are compared without case."""
    assert compare(digests(*before), digests(*after)) == expected


accounts = st.dictionaries(
    st.integers(1, 30),
    st.tuples(st.sampled_from(["", "a@x.yz", "A@x.yz", "b@x.yz", "straße@x.yz", "STRASSE@x.yz"]), st.booleans()),
    max_size=15,
)


@given(accounts, accounts, st.integers(1, 5))
def test_compare_is_what_sets_would_say(before: dict[int, tuple[str, bool]], after: dict[int, tuple[str, bool]], cut: int) -> None:
    """A streamed merge over stored chunks counts what a computation over whole sets counts."""

    def stored(usage: dict[int, tuple[str, bool]]) -> Iterator[Digest]:
        packed = b"".join(pack(digest_of(an_account(n, email=usage[n][0], suspended=usage[n][1]), KEY) for n in sorted(usage)))
        size = cut * RECORD.size
        return unpack(packed[start : start + size] for start in range(0, len(packed), size))

    both = before.keys() & after.keys()
    assert compare(stored(before), stored(after)) == Changes(
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        address_changed=sum(before[n][0].casefold() != after[n][0].casefold() for n in both),
        suspended=sum(after[n][1] and not before[n][1] for n in both),
        unsuspended=sum(before[n][1] and not after[n][1] for n in both),
    )


def test_an_account_is_21_bytes_and_holds_no_address() -> None:
    """Its number, a keyed digest, and its flags; another key gives another digest, and none of it is the address."""
    (packed,) = pack(digests(MONA))
    assert (RECORD.size, len(packed)) == (21, 21)
    assert b"user1" not in packed
    assert digests(MONA)[0].address != digests(MONA, key=b"another key")[0].address
    assert digests(MONA)[0].address != digests(an_account(1, email="user2@example.com"))[0].address
    assert digests(an_account(1, email=""))[0].address == bytes(12)


@pytest.mark.parametrize("count", [0, 1, CHUNK_RECORDS - 1, CHUNK_RECORDS, CHUNK_RECORDS + 1, 2 * CHUNK_RECORDS])
def test_what_is_packed_comes_back(count: int) -> None:
    """Every digest survives, in chunks of at most 4,096."""
    given_digests = [Digest(number, number.to_bytes(12, "big"), number % 3 == 0) for number in range(count)]
    chunks = list(pack(given_digests))
    assert [len(chunk) for chunk in chunks] == [min(CHUNK_RECORDS, count - start) * RECORD.size for start in range(0, count, CHUNK_RECORDS)]
    assert list(unpack(chunks)) == given_digests


@given(st.lists(st.builds(Digest, st.integers(0, 2**63 - 1), st.binary(min_size=12, max_size=12), st.booleans()), max_size=50))
def test_any_digest_comes_back(many: list[Digest]) -> None:
    """Also the largest number and any digest."""
    assert list(unpack(pack(many))) == many


def peak_bytes(count: int) -> int:
    """Compare and pack two usages of so many accounts, both as streams; answer the most memory held at once."""

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
