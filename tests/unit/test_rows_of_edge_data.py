"""The table of edge data that GitHub's published sources show has 41 rows; each is a test by its number."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NAMED = {
    int(number)
    for path in TESTS.rglob("test_*.py")
    for number in re.findall(r"^(?:async )?def test_row_(\d+)_", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("row", range(1, 42))
def test_every_row_is_a_test_by_its_number(row: int) -> None:
    """Who looks for a row finds its test: `test_row_17_…`."""
    assert row in NAMED


def test_no_test_names_a_row_that_is_not_there() -> None:
    """A number is a row of the table."""
    assert set(range(1, 42)) >= NAMED
