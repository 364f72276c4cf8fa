"""Chunks that are computed once: read again unchanged, and gone with their context."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.state.chunks import KeptChunks


def test_chunks_are_computed_once_and_read_as_often_as_wanted(tmp_path: Path) -> None:
    """In their sizes and order; nothing has a name on the disk, and nothing is computed before it is wanted."""
    computed = []

    def compute() -> Iterator[bytes]:
        for size in (3, 1, 0, 5):
            computed.append(size)
            yield bytes([size]) * size

    with KeptChunks(compute(), tmp_path) as kept:
        assert computed == []
        first = list(kept)
        assert (list(kept), list(kept)) == (first, first)
        assert list(tmp_path.iterdir()) == []
    assert first == [b"\3\3\3", b"\1", b"", b"\5" * 5]
    assert computed == [3, 1, 0, 5]


def test_a_missing_directory_is_our_error(tmp_path: Path) -> None:
    """As of every temporary file of a run."""
    with KeptChunks(iter([b"x"]), tmp_path / "nowhere") as kept, pytest.raises(StateUnwritableError, match="cannot store the digests"):
        list(kept)
