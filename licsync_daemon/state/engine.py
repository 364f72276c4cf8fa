"""What the SQL of the state needs of a database. `sqlite.py` and `postgresql.py` implement it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Values = Sequence[Any] | Mapping[str, Any]


class Engine(Protocol):
    """An open database. Rows are mappings; `execute` and `executemany` raise errors of the database's own, which `errors` converts."""

    @property
    def execute(self) -> Callable[..., Any]:
        """Return the function that runs one statement with `?` or `:name` placeholders and returns a cursor."""

    @property
    def executemany(self) -> Callable[[str, Iterable[Values]], Any]:
        """Return the function that runs one statement for each set of values."""

    def errors(self) -> AbstractContextManager[None]:
        """Return a context that raises `StateUnwritableError` for an error of the database."""

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context that commits everything inside, or nothing; no other process writes meanwhile."""

    def is_undecodable(self, error: Exception) -> bool:
        """Return whether an error means that the text of a row cannot be decoded."""

    def set_aside_unreadable(self) -> None:
        """Move every row that cannot be read to `set_aside`."""

    def writes_elsewhere(self) -> int:
        """Return a number that changes when another connection has written."""

    def check_file(self) -> None:
        """Raise `StateReplacedError` if another file took the place of the one that is open, or if it is damaged."""

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
