"""What a token, a password or a key must look like."""

import base64

import pytest

from licsync_daemon.settings.credential_forms import MAX_BYTES, Kind, fault

VALID = [
    (Kind.GITHUB_TOKEN, b"x" * 20),
    (Kind.GITHUB_TOKEN, b"~" * 255 + b"\n"),
    (Kind.DELIVERY_TOKEN, b"x"),
    (Kind.DELIVERY_TOKEN, b"x" * 8192),
    (Kind.SECRET_PATH, b"/services/T0/B0?key=1"),
    (Kind.SECRET_PATH, b"?key=1"),
    (Kind.GITHUB_TOKEN, b"ghp_" + b"a" * 36 + b"\r\n"),
    (Kind.GITHUB_TOKEN, b"github_pat_" + b"a1_" * 27 + b"a"),
    (Kind.GITHUB_TOKEN, b"0123456789abcdef" * 2 + b"01234567"),
    (Kind.DELIVERY_TOKEN, b"aHVudGVyMg=="),
    (Kind.DELIVERY_TOKEN, b"Z2hwXzAxMjM0NTY3ODlhYmNkZWZnaGlqa2xtbm9wcXJzdHV2"),
    (Kind.DELIVERY_TOKEN, b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln-_"),
    (Kind.LINE, b'"mona:quoted"'),
    (Kind.LINE, "mona:päss wörd\r\n".encode()),
    (Kind.DIGEST_KEY, b"x" * 32),
    (Kind.KEY_FILE, b"-----BEGIN\n\xff" + b"x" * 2 * MAX_BYTES),
]
INVALID: list[tuple[Kind, bytes, str]] = [
    (Kind.GITHUB_TOKEN, b"x" * 19, "fewer characters"),
    (Kind.GITHUB_TOKEN, b"x" * 256, "more characters"),
    (Kind.DELIVERY_TOKEN, b"x" * 8193, "more characters"),
    (Kind.DELIVERY_TOKEN, b"hunter2 hunter2", "white space inside"),
    (Kind.DELIVERY_TOKEN, b"hunter2\x00", "not printable ASCII"),
    (Kind.DELIVERY_TOKEN, b"\xef\xbb\xbfhunter2", "byte-order mark"),
    (Kind.DELIVERY_TOKEN, b" \n", "is empty"),
    *[
        (kind, value, "quotation marks")
        for kind in (Kind.GITHUB_TOKEN, Kind.DELIVERY_TOKEN)
        for value in (
            b'"ghp_hunter2hunter2hunter2"',
            b"'ghp_hunter2hunter2hunter2'\r\n",
            b'ghp_hunter2hunter2hunter2"',
            b"`ghp_hunter2hunter2hunter2`",
        )
    ],
    *[
        (kind, value, "NAME=value")
        for kind in (Kind.GITHUB_TOKEN, Kind.DELIVERY_TOKEN)
        for value in (
            b"CLOUD_TOKEN=ghp_hunter2hunter2",
            b"export TOKEN=ghp_hunter2hunter2",
            b'cloud__token="ghp_hunter2hunter2"',
            b"A=1\nB=hunter2",
        )
    ],
    *[
        (Kind.GITHUB_TOKEN, value, "is a header")
        for value in (
            b"Bearer ghp_hunter2hunter2",
            b"token ghp_hunter2hunter2",
            b"Authorization: Bearer ghp_hunter2",
            b"authorization:hunter2hunter2hunter2",
        )
    ],
    (Kind.GITHUB_TOKEN, b'{"token": "ghp_hunter2hunter2"}', "JSON"),
    *[
        (Kind.GITHUB_TOKEN, value, "placeholder")
        for value in (b"${GITHUB_TOKEN}", b"$TOKEN", b"<your token>", b"REPLACE_ME", b"{{ token }}")
    ],
    (Kind.GITHUB_TOKEN, b"https://mona:ghp_hunter2@github.com", "is an address"),
    *[
        (Kind.GITHUB_TOKEN, value, "base64-encoded token")
        for value in (
            base64.b64encode(b"ghp_" + b"hunter2" * 5),
            base64.b64encode(b"ghp_" + b"hunter2" * 5 + b"\n"),
            base64.b64encode(b"ghp_abcdefgh" * 4).rstrip(b"="),
            base64.encodebytes(b"github_pat_" + b"a" * 82),
            base64.b64encode(b"0123456789abcdef" * 2 + b"01234567"),
            base64.b64encode(b"gho_" + b"a" * 36),
        )
    ],
    *[(kind, b"\xff\xfe" + "ghp_hunter2hunter2".encode("utf-16-le"), "UTF-16") for kind in (Kind.GITHUB_TOKEN, Kind.LINE)],
    (Kind.GITHUB_TOKEN, "ghp_hunter2hunter2hunter2\n".encode("utf-16-le"), "UTF-16"),
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
