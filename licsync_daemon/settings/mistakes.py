"""One form for the mistakes that all checks find, and suggestions for misspelled words."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple


class Mistake(ValueError):  # noqa: N818 - validators raise it, and `problems.py` turns it into a message
    """A value that cannot be used. Neither text repeats a value that could be a secret."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class Finding(NamedTuple):
    """A mistake, and its place in the settings as a path of keys."""

    path: tuple[str, ...]
    what: str
    hint: str = ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to `word`, or None."""
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?`, or an empty string if no known word is similar."""
    near = closest(word, known)
    return f"did you mean {near}?" if near else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """Join words as in a sentence: `a, b and c`."""
    *front, end = list(words)
    return f"{', '.join(front)} {last} {end}" if front else end
