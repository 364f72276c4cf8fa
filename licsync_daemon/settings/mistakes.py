"""How mistakes are said: one shape for every check, and the suggestion that goes with a misspelled word."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple


class Mistake(ValueError):  # noqa: N818 - it never reaches a caller; validators raise it and `problems.py` turns it into words
    """A value that cannot be used. Neither text may repeat the value where it could hold a secret."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class Finding(NamedTuple):
    """A mistake at a place in the settings, as the keys that lead there."""

    path: tuple[str, ...]
    what: str
    hint: str = ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was probably meant to be, or None."""
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?`, or nothing where no known word is near."""
    near = closest(word, known)
    return f"did you mean {near}?" if near else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """Join words the way a person would: `a, b and c`."""
    *front, end = list(words)
    return f"{', '.join(front)} {last} {end}" if front else end
