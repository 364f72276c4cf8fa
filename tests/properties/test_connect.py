"""Properties of the time of the week at which GitHub Connect syncs."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.rules.connect import SAME_TIME, anchor_of, expected_after
from licsync_daemon.rules.schedule import WEEK
from tests.fakes import T0


@given(
    weeks=st.lists(st.integers(0, 40), min_size=2, max_size=12, unique=True),
    wobble=st.lists(st.integers(-60, 60), min_size=12, max_size=12),
    by_hand=st.lists(st.integers(4 * 60, 164 * 60), max_size=1),
)
def test_the_anchor_is_the_time_of_the_week_that_comes_back(weeks: list[int], wobble: list[int], by_hand: list[int]) -> None:
    """Syncs of about one time of the week outvote those by hand, and the next one is expected within the slack of a week later."""
    regular = [T0 - week * WEEK + timedelta(minutes=off) for week, off in zip(weeks, wobble, strict=False)]
    anchor = anchor_of([*regular, *(T0 - timedelta(minutes=one) for one in by_hand)])
    assert anchor in regular
    last = max(regular)
    expected = expected_after(last, anchor)
    assert abs(expected - (last + WEEK)) <= SAME_TIME
