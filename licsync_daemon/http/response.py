"""A response read as a stream: decoded, counted, and bounded."""

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from licsync_daemon.http.advice import TEMPORARY
from licsync_daemon.http.wire import decode_json
from licsync_daemon.model.errors import Code, RemoteError

MIB = 1024 * 1024
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one request: total seconds, bytes on the wire, bytes after decompression."""

    deadline_s: float
    wire_bytes: int
    decoded_bytes: int


API = Limits(deadline_s=60, wire_bytes=16 * MIB, decoded_bytes=64 * MIB)
LISTING = Limits(deadline_s=60, wire_bytes=8 * MIB, decoded_bytes=8 * MIB)  # what is kept in memory whole, such as all servers
REPORT = Limits(deadline_s=900, wire_bytes=512 * MIB, decoded_bytes=2048 * MIB)
PUSH = Limits(deadline_s=30, wire_bytes=MIB, decoded_bytes=MIB)
UPLOAD = Limits(deadline_s=900, wire_bytes=MIB, decoded_bytes=MIB)  # of the response; the request may be larger


@dataclass(slots=True)
class Response:
    """A response whose body is streamed, decoded and counted."""

    url: str
    status: int
    headers: dict[str, str]
    _raw: AsyncIterator[bytes]
    _limits: Limits
    _operation: str

    @property
    def is_framed(self) -> bool:
        """Return whether the end of the body differs from a lost connection: by its length, its last chunk, or the end of its gzip."""
        encodings = self.headers.get("transfer-encoding", ""), self.headers.get("content-encoding", "")
        return "content-length" in self.headers or "chunked" in encodings[0].lower() or encodings[1].strip().lower() == "gzip"

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the decoded body in pieces.

        Raises:
            RemoteError: `TOO_LARGE` over a limit, `TRUNCATED` if a gzip body ends early, `BAD_RESPONSE` if it is not valid gzip.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "identity", ""}:
            raise self._broken(f"has the unsupported content encoding {encoding[:20]!r}")
        inflate = zlib.decompressobj(31) if encoding == "gzip" else None
        wire = decoded = 0
        async for raw in self._raw:
            wire += len(raw)
            if wire > self._limits.wire_bytes:
                raise self._too_large(self._limits.wire_bytes)
            for piece in _inflated(inflate, raw, self._broken):
                decoded += len(piece)
                if decoded > self._limits.decoded_bytes:
                    raise self._too_large(self._limits.decoded_bytes)
                yield piece
        if inflate is not None and not inflate.eof:
            raise RemoteError(Code.TRUNCATED, f"{self._operation} was cut off", TEMPORARY, transient=True)

    async def read(self) -> bytes:
        """Return the whole decoded body."""
        return b"".join([piece async for piece in self.chunks()])

    async def json(self) -> Any:
        """Return the body as strictly decoded JSON."""
        return decode_json(await self.read(), self._operation)

    def _too_large(self, limit: int) -> RemoteError:
        return RemoteError(
            Code.TOO_LARGE,
            f"{self._operation} is larger than {limit // MIB} MiB",
            "check that the address is correct and returns the expected data",
        )

    def _broken(self, what: str) -> RemoteError:
        return RemoteError(
            Code.BAD_RESPONSE,
            f"{self._operation} {what}",
            "check for a proxy between licsync-daemon and the server that rewrites bodies",
        )


def _inflated(inflate: Any, raw: bytes, broken: Callable[[str], RemoteError]) -> Iterator[bytes]:
    """Yield the decompressed `raw`, one chunk at a time at most, so that a gzip bomb hits the limit before it fills the memory."""
    if inflate is None:
        yield raw
        return
    while raw:
        if inflate.eof:
            raise broken("has data after the end of its gzip body")
        try:
            piece = inflate.decompress(raw, CHUNK_BYTES)
        except zlib.error as error:
            raise broken("is not valid gzip") from error
        if piece:
            yield piece
        if inflate.eof and inflate.unused_data:
            raise broken("has data after the end of its gzip body")
        raw = inflate.unconsumed_tail
