"""What a token, a password or a key must look like."""

import pytest

from licsync_daemon.settings.credential_forms import MAX_BYTES, Kind, fault

VALID = [
    (Kind.GITHUB_TOKEN, b"x" * 20),
    (Kind.GITHUB_TOKEN, b"~" * 255 + b"\n"),
    (Kind.DELIVERY_TOKEN, b"x"),
    (Kind.DELIVERY_TOKEN, b"x" * 8192),
    (Kind.SECRET_PATH, b"/services/T0/B0?key=1"),
    (Kind.SECRET_PATH, b"?key=1"),
    (Kind.LINE, "mona:päss wörd\r\n".encode()),
    (Kind.DIGEST_KEY, b"x" * 32),
    (Kind.KEY_FILE, b"-----BEGIN\n\xff" + b"x" * 2 * MAX_BYTES),
]
INVALID = [
    (Kind.GITHUB_TOKEN, b"x" * 19, "fewer characters"),
    (Kind.GITHUB_TOKEN, b"x" * 256, "more characters"),
    (Kind.DELIVERY_TOKEN, b"x" * 8193, "more characters"),
    (Kind.DELIVERY_TOKEN, b"hunter2 hunter2", "white space inside"),
    (Kind.DELIVERY_TOKEN, b"hunter2\x00", "not printable ASCII"),
    (Kind.DELIVERY_TOKEN, b"\xef\xbb\xbfhunter2", "byte-order mark"),
    (Kind.DELIVERY_TOKEN, b" \n", "is empty"),
    (Kind.SECRET_PATH, b"hunter2", "does not begin with / or ?"),
    (Kind.SECRET_PATH, b"/hunter2#x", "has a #"),
    (Kind.LINE, b"hunter2\nhunter2", "more than one line"),
    (Kind.LINE, b"hunter2\x07a", "cannot be printed"),
    (Kind.LINE, b"hunter2\xff", "not UTF-8"),
    (Kind.LINE, b"x" * (MAX_BYTES + 1), "larger than 16 KiB"),
    (Kind.KEY_FILE, b"\n", "is empty"),
    (Kind.DIGEST_KEY, b"", "is empty"),
    (Kind.DIGEST_KEY, b"hunter2" * 4 + b"   \n", "fewer than 32 bytes"),
]


def test_a_valid_credential_has_no_fault(subtests: pytest.Subtests) -> None:
    """The shortest and the longest of each kind are accepted, with white space around them."""
    for kind, content in VALID:
        with subtests.test(kind=kind, length=len(content)):
            assert fault(content, kind) is None


def test_an_invalid_credential_is_described_without_its_value(subtests: pytest.Subtests) -> None:
    """The fault is named; the value is not repeated."""
    for kind, content, part in INVALID:
        with subtests.test(kind=kind, part=part):
            found = fault(content, kind) or ""
            assert part in found
            assert "hunter2" not in found
