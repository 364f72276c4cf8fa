"""Compare two usages of an instance account by account without storing email addresses.

An account is stored as 21 bytes: its id, an HMAC of its address, and its flags; the key is a credential or a file of this installation.
Both usages are sorted by id and merged as streams, so memory use does not grow with them. Digests are pseudonymous personal data.
"""

import hmac
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from licsync_daemon.model.run import Changes
from licsync_daemon.model.usage import Account

RECORD = struct.Struct(">Q12s?")
ADDRESS_BYTES = 12
NO_ADDRESS = bytes(ADDRESS_BYTES)
CHUNK_RECORDS = 4096


class Digest(NamedTuple):
    """One account as pseudonymous data. A tuple, because there may be a million."""

    id: int
    address: bytes
    suspended: bool


def digest_of(account: Account, key: bytes) -> Digest:
    """Return the digest of an account. Addresses that differ only in case are equal."""
    number, _, email, suspended = account
    address = hmac.digest(key, email.casefold().encode(), "sha256")[:ADDRESS_BYTES] if email else NO_ADDRESS
    return Digest(number, address, suspended)


def pack(digests: Iterable[Digest]) -> Iterator[bytes]:
    """Yield the digests as chunks of bytes for storage."""
    buffer = bytearray()
    for one in digests:
        buffer += RECORD.pack(*one)
        if len(buffer) >= CHUNK_RECORDS * RECORD.size:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def unpack(chunks: Iterable[bytes]) -> Iterator[Digest]:
    """Yield the digests in stored chunks."""
    for chunk in chunks:
        yield from map(Digest._make, RECORD.iter_unpack(chunk))


def compare(before: Iterable[Digest], after: Iterable[Digest]) -> Changes:
    """Count the changes between two usages, both sorted by id."""
    added = removed = address_changed = suspended = unsuspended = 0
    old, new = iter(before), iter(after)
    one, other = next(old, None), next(new, None)
    while one is not None or other is not None:
        if one == other:
            one, other = next(old, None), next(new, None)
        elif other is None or (one is not None and one.id < other.id):
            removed += 1
            one = next(old, None)
        elif one is None or other.id < one.id:
            added += 1
            other = next(new, None)
        else:
            address_changed += one.address != other.address
            suspended += other.suspended and not one.suspended
            unsuspended += one.suspended and not other.suspended
            one, other = next(old, None), next(new, None)
    return Changes(added=added, removed=removed, address_changed=address_changed, suspended=suspended, unsuspended=unsuspended)
