"""Chunks of bytes that are computed once and read again, from an unnamed file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from licsync_daemon.model.errors import StateUnwritableError


class KeptChunks:
    """Iterates over chunks. The first time they are computed, which has to be to the end; after that they are read. Use it with `with`."""

    def __init__(self, chunks: Iterator[bytes], directory: Path) -> None:
        self._chunks: Iterator[bytes] | None = chunks
        self._directory = directory
        self._sizes: list[int] = []
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._read() if self._chunks is None else self._computed()
        except OSError as error:
            raise StateUnwritableError(f"cannot store the digests of the accounts in {self._directory}: {error}") from error

    def _computed(self) -> Iterator[bytes]:
        assert self._chunks is not None
        chunks, self._chunks = self._chunks, None
        self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed with the context
        for chunk in chunks:
            self._file.write(chunk)
            self._sizes.append(len(chunk))
            yield chunk
        self._file.flush()

    def _read(self) -> Iterator[bytes]:
        assert self._file is not None
        self._file.seek(0)
        for size in self._sizes:
            yield self._file.read(size)
