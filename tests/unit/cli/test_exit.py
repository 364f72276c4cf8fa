"""What the exit code says about a set of results."""

import pytest

from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.model.run import RunState
from licsync_daemon.sync.waiting import Result
from tests.fakes import a_run, an_instance

CONFIRMED, DELIVERED, FAILED, INTERRUPTED, RUNNING, HELD, LOCKED = (
    "confirmed", "delivered", "failed", "interrupted", "running", "held", "locked",
)  # fmt: skip


def results(*words: str) -> list[Result]:
    return [
        Result(an_instance(), None, "process 1") if word == LOCKED else Result(an_instance(), a_run(state=RunState(word))) for word in words
    ]


def test_exit_codes(subtests: pytest.Subtests) -> None:
    """With several at once: 11 (only if named), 4, 3, 5, 6, 0."""
    for words, named, unnamed in (
        ((), 0, 0),
        ((CONFIRMED,), 0, 0),
        ((CONFIRMED, CONFIRMED), 0, 0),
        ((DELIVERED,), 6, 6),
        ((RUNNING,), 6, 6),
        ((CONFIRMED, DELIVERED), 6, 6),
        ((FAILED,), 4, 4),
        ((FAILED, INTERRUPTED), 4, 4),
        ((FAILED, CONFIRMED), 3, 3),
        ((FAILED, DELIVERED), 3, 3),
        ((INTERRUPTED, DELIVERED, CONFIRMED), 3, 3),
        ((HELD,), 5, 5),
        ((HELD, CONFIRMED), 5, 5),
        ((HELD, DELIVERED), 5, 5),
        ((HELD, RUNNING), 5, 5),
        ((HELD, FAILED), 3, 3),
        ((HELD, LOCKED), 11, 5),
        ((LOCKED,), 11, 6),
        ((LOCKED, CONFIRMED), 11, 6),
        ((LOCKED, DELIVERED), 11, 6),
        ((LOCKED, FAILED), 11, 3),
        ((LOCKED, FAILED, CONFIRMED, DELIVERED), 11, 3),
    ):
        with subtests.test(words=words, named=named):
            assert exit_code(results(*words), named=True) == named
            assert exit_code(results(*words), named=False) == unnamed


def test_the_numbers_are_the_published_ones() -> None:
    """Scripts rely on these numbers."""
    assert {one.name: one.value for one in Exit} == {
        "OK": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "SOME_FAILED": 3,
        "ALL_FAILED": 4,
        "HELD": 5,
        "OPEN": 6,
        "LOCKED": 11,
    }
