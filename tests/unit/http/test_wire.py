"""The rules of the wire, as tables: rate limits, stated waits, page links, origins, and strict JSON."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.http.wire import (
    AnswerFacts,
    basic,
    decode_json,
    facts_of,
    is_rate_limit,
    message_of,
    next_link,
    same_origin,
    stated_wait,
)
from licsync_daemon.model.decode import http_date
from licsync_daemon.model.errors import Code, RemoteError

DATE = "Tue, 24 Nov 2026 02:00:00 GMT"
EPOCH = int(datetime(2026, 11, 24, 2, 0, tzinfo=UTC).timestamp())
PAGE = "https://api.example.com/enterprises/octo/consumed-licenses?per_page=100"


def test_what_counts_as_a_rate_limit(subtests: pytest.Subtests) -> None:
    """A 403 needs a sign; no other status but 429 is ever a rate limit."""
    for name, (status, headers, said, limited) in {
        "429": (429, {}, "", True),
        "plain 403": (403, {}, "", False),
        "one remains": (403, {"x-ratelimit-remaining": "1"}, "", False),
        "other words": (403, {}, "Must have admin rights", False),
        "401 never": (401, {"retry-after": "1"}, "rate limit", False),
        "503 never": (503, {"retry-after": "1"}, "rate limit", False),
    }.items():
        with subtests.test(name):
            assert is_rate_limit(status, headers, said) is limited


def test_stated_waits(subtests: pytest.Subtests) -> None:
    """Seconds, or a date relative to the response's own, else the reset of the limit; never negative, and invalid counts as not stated."""
    for headers, wait in (
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 120 "}, 120),
        ({"retry-after": "1000000000"}, None),
        ({"retry-after": "1000000000000"}, None),
        ({"retry-after": "1e12"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "1."}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Tue, 24 Nov 2026 02:00:01 GMT", "date": DATE}, 1),
        ({"retry-after": "Tue, 24 Nov 2026 02:00:00 GMT", "date": DATE}, 0),
        ({"retry-after": "Tue, 24 Nov 2026 01:59:59 GMT", "date": DATE}, 0),
        ({"retry-after": "Mon, 01 Jan 1990 00:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": DATE}, 30 * 86400),
        ({"retry-after": "999999999"}, 30 * 86400),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999", "date": DATE}, 30 * 86400),
        ({"retry-after": "Tue, 99 Nov 2026 02:00:00 GMT", "date": DATE}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 60), "date": DATE}, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH - 60), "date": DATE}, 0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(EPOCH + 60), "date": DATE}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 12, "date": DATE}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "-1", "date": DATE}, None),
        ({"retry-after": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 60), "date": DATE}, 5),
        ({"retry-after": "soon", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 60), "date": DATE}, 60),
    ):
        with subtests.test(headers=headers, wait=wait):
            assert stated_wait(headers) == (None if wait is None else timedelta(seconds=wait))


def test_http_dates(subtests: pytest.Subtests) -> None:
    """An HTTP date is read as aware UTC; anything else is none."""
    for name, (text, moment) in {
        "GMT": (DATE, datetime(2026, 11, 24, 2, 0, tzinfo=UTC)),
        "an offset": ("Tue, 24 Nov 2026 03:00:00 +0100", datetime(2026, 11, 24, 2, 0, tzinfo=UTC)),
        "no zone": ("Tue, 24 Nov 2026 02:00:00 -0000", datetime(2026, 11, 24, 2, 0, tzinfo=UTC)),
        "empty": ("", None),
        "words": ("today", None),
        "a year too far": ("Tue, 24 Nov 99999 02:00:00 GMT", None),
    }.items():
        with subtests.test(name):
            assert http_date(text) == moment


def test_the_far_sides_own_words(subtests: pytest.Subtests) -> None:
    """The server's message is quoted on one line, without control characters, tokens and addresses."""
    for name, (body, said) in {
        "message": (b'{"message": "Bad credentials"}', "Bad credentials"),
        "detail": (b'{"title": "t", "detail": "users[3] has no id"}', "users[3] has no id"),
        "title": (b'{"title": "Unprocessable"}', "Unprocessable"),
        "no text": (b'{"message": ["a"]}', ""),
        "a list": (b'["message"]', ""),
        "a page": (b"<html>", ""),
        "bytes": (b"\xff\xfe", ""),
        "empty": (b"", ""),
        "deep": (b"[" * 100_000, ""),
        "cleaned": (
            b'{"message": "two\\nlines \\u001b[31m of mona@example.com with ghp_0123456789abcdef"}',
            "two lines of [address] with [token]",
        ),
    }.items():
        with subtests.test(name):
            assert message_of(body) == said


def test_long_words_are_cut() -> None:
    """A message of any length takes 200 characters at most."""
    said = message_of(json.dumps({"message": "x" * 10_000}).encode())
    assert (len(said), said[-1]) == (200, "…")


def test_next_links(subtests: pytest.Subtests) -> None:
    """The next page is the link whose relation is `next`, in every spelling that is used."""
    for name, (link, address) in {
        "none": ("", None),
        "quoted": (f'<{PAGE}&page=2>; rel="next"', f"{PAGE}&page=2"),
        "bare": (f"<{PAGE}&page=2>; rel=next", f"{PAGE}&page=2"),
        "upper case": (f'<{PAGE}&page=2>; REL="NEXT"', f"{PAGE}&page=2"),
        "other parameters": (f'<{PAGE}&page=2> ; title=x ; rel="next"', f"{PAGE}&page=2"),
        "after last": (f'<{PAGE}&page=9>; rel="last", <{PAGE}&page=2>; rel="next"', f"{PAGE}&page=2"),
        "last page": (f'<{PAGE}&page=1>; rel="prev", <{PAGE}&page=1>; rel="first"', None),
        "not next": (f'<{PAGE}&page=2>; rel="nextish"', None),
        "no rel": (f"<{PAGE}&page=2>", None),
        "relative query": ("<?per_page=100&page=2>; rel=next", f"{PAGE}&page=2"),
        "relative path": (
            "</enterprises/octo/consumed-licenses?page=2>; rel=next",
            "https://api.example.com/enterprises/octo/consumed-licenses?page=2",
        ),
        "comma": (f'<{PAGE}&cursor=a,b>; rel="next"', f"{PAGE}&cursor=a,b"),
        "nonsense": ("nonsense", None),
        "long nonsense": ("<" * 20_000, None),
    }.items():
        with subtests.test(name):
            assert next_link({"link": link}, PAGE, "x") == address


def test_a_link_that_leaves_the_origin_or_stands_still_is_refused(subtests: pytest.Subtests) -> None:
    """A token never follows a link elsewhere, and a page that names itself would never end."""
    for name, target in {
        "host": "https://elsewhere.example.com/page=2",
        "port": "https://api.example.com:8443/page=2",
        "plain": "http://api.example.com/page=2",
        "suffix": "https://api.example.com.evil.example/page=2",
        "no scheme": "//elsewhere.example.com/page=2",
        "ftp": "ftp://api.example.com/",
        "javascript": "javascript:alert(1)",
        "data": "data:text/plain,x",
        "broken": "http://[::1",
        "itself": PAGE,
        "empty": "",
    }.items():
        with subtests.test(name):
            with pytest.raises(RemoteError) as refused:
                next_link({"link": f'<{target}>; rel="next"'}, PAGE, "consumed-licenses of octo")
            assert refused.value.code is Code.BAD_RESPONSE
            assert not refused.value.transient


def test_origins(subtests: pytest.Subtests) -> None:
    """Scheme, host and port decide; what cannot be read shares its origin with nothing."""
    for name, (one, other, same) in {
        "path": ("https://a.example/x", "https://a.example/y?z#w", True),
        "default port": ("https://a.example", "https://A.EXAMPLE:443/", True),
        "plain default port": ("http://a.example:80", "http://a.example", True),
        "scheme": ("https://a.example", "http://a.example", False),
        "port": ("https://a.example", "https://a.example:8443", False),
        "host": ("https://a.example", "https://b.example", False),
        "user": ("https://user@a.example", "https://a.example", True),
        "bad port": ("https://a.example:99999", "https://a.example:99999", False),
        "ipv6": ("https://[::1]:1", "https://[::1]:1/x", True),
        "broken": ("https://[::1", "https://[::1", False),
    }.items():
        with subtests.test(name):
            assert same_origin(one, other) is same
            assert same_origin(other, one) is same


def test_unacceptable_json(subtests: pytest.Subtests) -> None:
    """JSON that is ambiguous or cannot be encoded again is refused."""
    for name, body in {
        "NaN": b'{"a": NaN}',
        "Infinity": b"[Infinity]",
        "-Infinity": b"[-Infinity]",
        "twice": b'{"a": 1, "a": 2}',
        "twice inside": b'[{"b": {"a": 1, "a": 1}}]',
        "deep": b"[" * 100_000,
        "empty": b"",
        "cut": b'{"a": 1',
        "bytes": b"\xff\xfe\xfd",
        "half": b'["\\ud800"]',
        "raw half": b'["\xed\xa0\x80"]',
        "other half": b'["\\uDFFFx"]',
        "long number": b"[" + b"9" * 5000 + b"]",
    }.items():
        with subtests.test(name):
            with pytest.raises(RemoteError) as refused:
                decode_json(body, "license-sync-status of octo")
            assert refused.value.code is Code.BAD_RESPONSE
            assert refused.value.cause == "license-sync-status of octo returned content that is not JSON"


def test_acceptable_json(subtests: pytest.Subtests) -> None:
    """Complete characters in every notation and numbers of any size are read."""
    for name, (body, value) in {
        "escapes": (b'{"a": [1, null, "\\u00e4", "\\ud83d\\ude00"]}', {"a": [1, None, "ä", "😀"]}),
        "BOM": (b"\xef\xbb\xbf[1]", [1]),
        "non-ASCII": ('["Ж"]'.encode(), ["Ж"]),
        "big number": (b"123456789012345678901234567890", 123456789012345678901234567890),
    }.items():
        with subtests.test(name):
            assert decode_json(body, "x") == value


def test_a_web_page_is_told_from_other_nonsense() -> None:
    """A sign-in or maintenance page in front of the interface is named as one."""
    with pytest.raises(RemoteError) as refused:
        decode_json(b"\n  <!DOCTYPE html><title>Sign in</title>", "x")
    assert refused.value.cause == "x returned a web page instead of JSON"


def test_basic_authentication_is_utf_8() -> None:
    """The header of basic authentication holds user and password as UTF-8."""
    assert basic("mona", "pässword") == "Basic bW9uYTpww6Rzc3dvcmQ="


def test_what_headers_tell_beside_the_answer(subtests: pytest.Subtests) -> None:
    """Each header is one field; an invalid value counts as not reported, and no key is kept."""
    for headers, name, value in (
        ({"date": DATE}, "date", datetime(2026, 11, 24, 2, tzinfo=UTC)),
        ({"deprecation": " true "}, "deprecation", "true"),
        ({"deprecation": "x" * 500}, "deprecation", "x" * 199 + "…"),
        ({"sunset": DATE}, "sunset_at", datetime(2026, 11, 24, 2, tzinfo=UTC)),
        ({"sunset": "soon"}, "sunset_at", None),
        ({"x-github-api-version-selected": "2022-11-28"}, "api_version", "2022-11-28"),
        ({"x-github-enterprise-version": "3.19.2"}, "enterprise_version", "3.19.2"),
        ({"x-oauth-scopes": "read:enterprise, read:org"}, "scopes", ("read:enterprise", "read:org")),
        ({"x-oauth-scopes": ""}, "scopes", ()),
        ({}, "scopes", None),
        ({"x-ratelimit-remaining": "4999"}, "remaining", 4999),
        ({"x-ratelimit-remaining": "many"}, "remaining", None),
        ({"x-github-sso": "required; url=https://github.com/orgs/o/sso?authorization_request=SECRET"}, "sso", "required"),
        ({"x-github-sso": "partial-results; organizations=1,2"}, "sso", "partial-results"),
    ):
        with subtests.test(headers=headers, name=name):
            assert getattr(facts_of(headers), name) == value


def test_when_a_token_ends(subtests: pytest.Subtests) -> None:
    """An expiration date of about now is a known fault of GitHub's for fine-grained tokens and is ignored."""
    for text, expires in (
        ("2026-12-01 09:00:00 UTC", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("2026-12-01 09:00:00 +0500", datetime(2026, 12, 1, 4, tzinfo=UTC)),
        ("2026-11-24 02:04:59 UTC", None),
        ("2026-11-24 02:05:00 UTC", datetime(2026, 11, 24, 2, 5, tzinfo=UTC)),
        ("2026-11-24 06:58:00 +0500", None),
        ("never", None),
        ("", None),
    ):
        with subtests.test(text=text, expires=expires):
            assert facts_of({"github-authentication-token-expiration": text, "date": DATE}).token_expires_at == expires


def test_later_headers_lie_over_earlier_ones() -> None:
    """A fact that a later response does not report stays."""
    first = facts_of({"deprecation": "true", "x-ratelimit-remaining": "9"})
    assert first.then({"x-ratelimit-remaining": "0"}) == AnswerFacts(deprecation="true", remaining=0)
