"""Read a request's body from the wire, announced or chunked."""

from collections.abc import Iterator, Mapping
from io import BufferedIOBase


def read_body(headers: Mapping[str, str], stream: BufferedIOBase, limit_bytes: int) -> bytes | None:
    """Read the body whole; None when it is over the limit (the rest of it is then still to come)."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        parts, size = [], 0
        for chunk in _chunks(stream):
            size += len(chunk)
            if size > limit_bytes:
                return None
            parts.append(chunk)
        return b"".join(parts)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limit_bytes:
        return None
    return stream.read(int(length))


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    while size := int(stream.readline(64).split(b";")[0].strip() or b"0", 16):
        yield stream.read(size)
        stream.readline(8)
    while stream.readline(65536).strip():  # trailers
        pass
