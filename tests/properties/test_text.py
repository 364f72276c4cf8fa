"""Properties of cleaned text."""

from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.model.text import clean


@given(st.text(max_size=300), st.integers(1, 50))
def test_cleaned_text_is_always_safe(text: str, limit: int) -> None:
    """For any input, the output is printable, on one line, and within the limit."""
    found = clean(text, limit)
    assert len(found) <= limit
    assert all(char.isprintable() for char in found)
