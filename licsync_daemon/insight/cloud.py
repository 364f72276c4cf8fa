"""The cloud's people, indexed by everything that GitHub matches a server account by; decides the state of one account."""

from collections.abc import Collection, Iterable, Sequence

from licsync_daemon.insight.results import Judgement
from licsync_daemon.insight.values import Instance, Person, ServerAccount


class Cloud:
    """An index of the consumed licenses. Reads the stream of people once and keeps hashes and logins only.

    Args:
        people: Rows of the consumed licenses.
        instances: Every instance whose accounts were read from a file.
        domains: Verified domains as configured; those seen among verified addresses are added.
    """

    def __init__(self, people: Iterable[Person], *, instances: Sequence[Instance] = (), domains: Collection[str] = ()) -> None:
        raise NotImplementedError

    def judge(self, account: ServerAccount) -> Judgement:
        """Return the state of an account of one of the `instances`. Depends on nothing but the people and this account."""
        raise NotImplementedError
