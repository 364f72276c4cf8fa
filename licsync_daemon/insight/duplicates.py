"""Likely duplicates: one human being who takes two seats, the evidence, and the one change that merges them."""

from collections.abc import Iterable, Sequence

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.results import Duplicates, Group, Suggestion
from licsync_daemon.insight.values import Person, ServerAccount


def find_duplicates(cloud: Cloud, people: Iterable[Person], accounts: Iterable[ServerAccount]) -> Duplicates:
    """Return the likely duplicates among people and accounts, the same ones for the same input in any order of rows.

    `people` and `accounts` are the same streams that `Cloud` and `forecast` read, from their beginning.
    """
    raise NotImplementedError


def group(suggestions: Sequence[Suggestion], price: float | None = None) -> tuple[Group, ...]:
    """Return suggestions by cause, most seats first; `price` is the cost of one seat."""
    raise NotImplementedError
