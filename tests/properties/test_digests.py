"""Properties of the digests of accounts."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.model.run import Changes
from licsync_daemon.rules.digests import RECORD, Digest, compare, digest_of, pack, unpack
from tests.fakes import an_account

KEY = b"a key of this test"

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


@given(st.lists(st.builds(Digest, st.integers(0, 2**63 - 1), st.binary(min_size=12, max_size=12), st.booleans()), max_size=50))
def test_any_digest_comes_back(many: list[Digest]) -> None:
    """Also the largest number and any digest."""
    assert list(unpack(pack(many))) == many
