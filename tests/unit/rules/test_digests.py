"""Usages compared by their digests: no address is stored, and memory use stays constant."""

import pytest

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


def test_an_account_is_21_bytes_and_holds_no_address() -> None:
    """Its id, a keyed digest and its flags; another key gives another digest, and the address is not in it."""
    (packed,) = pack(digests(MONA))
    assert (RECORD.size, len(packed)) == (21, 21)
    assert b"user1" not in packed
    assert digests(MONA)[0].address != digests(MONA, key=b"another key")[0].address
    assert digests(MONA)[0].address != digests(an_account(1, email="user2@example.com"))[0].address
    assert digests(an_account(1, email=""))[0].address == bytes(12)


def test_what_is_packed_comes_back(subtests: pytest.Subtests) -> None:
    """Every digest survives, in chunks of at most 4,096."""
    for count in [0, 1, CHUNK_RECORDS - 1, CHUNK_RECORDS, CHUNK_RECORDS + 1, 2 * CHUNK_RECORDS]:
        with subtests.test(count=count):
            given_digests = [Digest(number, number.to_bytes(12, "big"), number % 3 == 0) for number in range(count)]
            chunks = list(pack(given_digests))
            assert [len(chunk) for chunk in chunks] == [
                min(CHUNK_RECORDS, count - start) * RECORD.size for start in range(0, count, CHUNK_RECORDS)
            ]
            assert list(unpack(chunks)) == given_digests
