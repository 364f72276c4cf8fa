"""Read a request's body, with a Content-Length or chunked."""

from collections.abc import Iterator, Mapping
from io import BufferedIOBase


def read_body(headers: Mapping[str, str], stream: BufferedIOBase, limit_bytes: int) -> bytes | None:
    """Return the whole body; None if it is larger than the limit (its rest is then unread)."""
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
