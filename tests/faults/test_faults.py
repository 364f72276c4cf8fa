"""What of `make faults` takes seconds: every exception, a few flipped bits, and one of the servers."""

import random

import pytest

from tests.faults import bits, hostile, injected
from tests.faults.kinds import KINDS

QUICK = {"a host name that forges lines", "another server that repeats the endpoint's token"}


@pytest.mark.parametrize("scenario", injected.SCENARIOS)
def test_an_exception_at_any_await_is_recorded_and_reported(scenario: str) -> None:
    """No run is left open, nothing else is left undone, and the log has the exception."""
    for at in range(1, injected.MOST):
        found = injected.inject(scenario, at)
        if found is None:
            assert at > 1
            return
        assert found.place == injected.ELSEWHERE or not found.wrong, found
    pytest.fail("the scenario does not end")


def test_a_flipped_bit_crashes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """`status`, `history` and opening for writing survive single flipped bits, other ones each time."""
    data = bits.sample()
    result, sound = bits.use(data)
    assert result == ""
    for bit in random.sample(range(len(data) * 8), 30) + random.sample(bits.schema_bits(data), 10):
        found, content, _ = bits.flip((data, sound, bit))
        assert found != bits.CRASH, (bit, content)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name in QUICK], ids=lambda kind: kind.name)
def test_a_server_that_misbehaves_harms_no_neighbor(kind: hostile.Kind) -> None:
    """The command ends with the right state and code, and the neighbor is confirmed."""
    # The kernel counts the peak of the process that starts a program as the program's own, and a test process is large.
    assert hostile.judge(kind, limit_mib=10_000).wrong == ""
