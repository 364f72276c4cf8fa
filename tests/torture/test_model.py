"""Years of service in any order: a thousand stories without a violation. The model is `serving.py`."""

from collections import Counter
from collections.abc import Callable

import pytest


@pytest.mark.timeout(900)
def test_a_thousand_stories(programs: Callable[..., Counter[str]], rounds: Callable[[int], int]) -> None:
    count = rounds(1000)

    seen = programs("serving", count)

    print(dict(seen))
    assert seen["examples"] >= count
    states = ("confirmed", "failed", "interrupted", "superseded", "held", "awaiting_upload")
    assert count < 1000 or all(seen[f"ended {state}"] for state in states)
