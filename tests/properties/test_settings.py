"""Properties of addresses, durations and credentials."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.settings.addresses import normal_hostname, normal_proxy, normal_url
from licsync_daemon.settings.credential_forms import MAX_BYTES, Kind
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.settings.mistakes import Mistake
from licsync_daemon.settings.values import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize("check", [normal_hostname, normal_url, normal_proxy])
@given(text=st.text() | st.from_regex(r"https?://[\[\]a-z0-9.:@/?#\\-]{0,20}", fullmatch=True))
def test_junk_is_refused_or_becomes_stable(check: Callable[[str], str], text: str) -> None:
    """Whatever is given is refused in words, or has a normal form that is its own normal form."""
    try:
        normal = check(text)
    except Mistake:
        return
    assert normal == check(normal)


@given(st.integers(min_value=1, max_value=int(LONGEST.total_seconds())))
def test_every_duration_survives_being_written_and_read(seconds: int) -> None:
    """Writing and reading a duration gives the same one, and the second writing the same text."""
    span = timedelta(seconds=seconds)
    assert span == parse_duration(format_duration(span))
    assert format_duration(span) == format_duration(parse_duration(format_duration(span)))


@given(st.text() | st.text(alphabet="0123456789dhms- .") | st.integers() | st.none() | st.floats())
def test_junk_is_refused_and_nothing_else_happens(value: object) -> None:
    """Whatever is given either is a positive duration or is refused in words."""
    try:
        span = parse_duration(value)
    except Mistake:
        return
    assert timedelta(0) < span <= LONGEST


@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | st.just(b"x" * (MAX_BYTES + 1)))
def test_whatever_stands_in_a_variable_is_a_good_token_or_refused(content: bytes) -> None:
    """An accepted token has only the characters and the length that are allowed."""
    credentials = Credentials(Path("/nonexistent"), {"LICSYNC_T": content.decode("utf-8", "surrogateescape")}, Path("/nonexistent"))
    try:
        token = credentials.text(["t"], Kind.GITHUB_TOKEN)
    except RunError as error:
        assert error.code is Code.CREDENTIAL_MALFORMED  # noqa: PT017 - either outcome is fine, each has its own form
        return
    assert 20 <= len(token) <= 255
    assert all(0x21 <= ord(sign) <= 0x7E for sign in token)
