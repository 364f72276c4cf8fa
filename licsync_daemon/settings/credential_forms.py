"""What a token, a password or a key must look like. Pure; no text repeats a value."""

import base64
import re
from enum import StrEnum

DIGEST_KEY_BYTES = 32  # as long as the output of the digest, SHA-256
MAX_BYTES = 16 * 1024  # twice the longest token that is allowed


class Kind(StrEnum):
    """What a credential is; each has a form of its own."""

    GITHUB_TOKEN = "a GitHub token"  # noqa: S105 - part of a message
    DELIVERY_TOKEN = "a delivery token"  # noqa: S105
    SECRET_PATH = "the rest of an address"  # noqa: S105
    LINE = "a line of text"
    KEY_FILE = "a private key"
    DIGEST_KEY = "a random key of at least 32 characters"


def fault(raw: bytes, kind: Kind) -> str | None:
    """Return what is wrong with the content of a credential; None if nothing is. White space around it is allowed."""
    value = raw.strip()
    if kind is not Kind.KEY_FILE and len(raw) > MAX_BYTES:
        return f"is larger than {MAX_BYTES // 1024} KiB"
    if not value:
        return "is empty"
    if kind is Kind.KEY_FILE:
        return None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in value[1::2][:1] + value[::2][:1]:
        return "is UTF-16 text, as PowerShell's > writes it; save it as plain text"
    if value.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte-order mark; save it as plain text without one"
    if kind is Kind.DIGEST_KEY and len(value) < DIGEST_KEY_BYTES:
        return f"has fewer than {DIGEST_KEY_BYTES} bytes, so the addresses behind the digests could be guessed"
    return _line_fault(value) if kind in {Kind.LINE, Kind.DIGEST_KEY} else _token_fault(value, kind)


def _token_fault(value: bytes, kind: Kind) -> str | None:
    if kind in {Kind.GITHUB_TOKEN, Kind.DELIVERY_TOKEN} and (disguise := _disguise(value, kind)) is not None:
        return disguise
    if re.search(rb"\s", value):
        return "has white space inside"
    if re.search(rb"[^\x21-\x7e]", value):
        return "has a character that is not allowed (not printable ASCII)"
    if kind is Kind.SECRET_PATH and value[:1] not in {b"/", b"?"}:
        return "does not begin with / or ?, as the part of an address after its host does"
    if kind is Kind.SECRET_PATH and b"#" in value:
        return "has a #; what follows it is never sent to a server"
    low, high = (20, 255) if kind is Kind.GITHUB_TOKEN else (1, 8192)
    if not low <= len(value) <= high:
        return f"has {'fewer' if len(value) < low else 'more'} characters than {kind} ({low} to {high})"
    return None


def _disguise(value: bytes, kind: Kind) -> str | None:
    """Return how a token is wrapped: as what it was copied from, or as what a platform made of it."""
    if re.match(rb"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*=[^=]", value):
        return "is NAME=value, as in a file of variables; write only the value"
    if value[:1] in b"\"'`" or value[-1:] in b"\"'`":
        return "has quotation marks around the token; they are not part of it"
    if re.match(rb"(?:authorization:|(?:bearer|token|basic)\s)", value, re.IGNORECASE):
        return "is a header; write only the token, without `Authorization`, `Bearer` or `token`"
    if value[:1] in b"{[":
        return "is JSON, or a placeholder in braces; write only the token"
    if re.fullmatch(rb"\$.*|<.*>|%\w+%|(?:replace|change)[_-]?(?:me|this)", value, re.IGNORECASE | re.DOTALL):
        return "is a placeholder that nothing replaced; write the token itself"
    if re.match(rb"https?://", value, re.IGNORECASE):
        return "is an address; write only the token"
    if kind is Kind.GITHUB_TOKEN and _GITHUB.match(_decoded(value)):
        return "is a base64-encoded token; decode it (in Kubernetes, `data` is base64 and `stringData` is not)"
    return None


# Source: https://github.blog/changelog/2021-03-31-authentication-token-format-updates-are-generally-available/ (checked 2026-11-27);
# older tokens are 40 hexadecimal digits.
_GITHUB = re.compile(rb"\s*(?:gh[a-z]_|github_pat_|[0-9a-f]{40}\s*$)")


def _decoded(value: bytes) -> bytes:
    """Return what base64, also in several lines or without its padding, stands for; nothing if it is not base64."""
    compact = re.sub(rb"\s", b"", value).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")  # also in its form for addresses
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except ValueError:
        return b""


def _line_fault(value: bytes) -> str | None:
    if re.search(rb"[\r\n]", value):
        return "has more than one line"
    try:
        return None if value.decode().isprintable() else "has a character that cannot be printed"
    except UnicodeDecodeError:
        return "is not UTF-8 text"
