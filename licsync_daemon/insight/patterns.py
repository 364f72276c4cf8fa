"""The logins that a name can make: `Mona Lisa Octocat` makes octocat, mocto, moctocat, mlo, octomo, ... Pure text."""

from enum import IntEnum
from functools import lru_cache

from licsync_daemon.insight.handles import name_parts


class Pattern(IntEnum):
    """How a login is made of a name, from the pattern that says most to the one that says least."""

    FULL = 0  # all words, or two whole words
    FLAST = 1  # initials and a whole word: moctocat
    FIRSTL = 2  # the first word and an initial: monao
    LAST = 3
    CUT = 4  # the beginnings of two words: octomo
    FIRST = 5
    INITIALS = 6


CUTS = ((4, 2), (3, 3), (4, 1), (5, 1), (6, 1), (7, 1))  # letters of the one word, and of the other


@lru_cache(maxsize=256)
def patterns(names: tuple[str, ...]) -> dict[str, Pattern]:
    """Return every login that one of these names can make, with the best pattern of each."""
    made: dict[str, Pattern] = {}
    for name in names:
        for words in name_parts(name):
            for pattern, logins in _patterns(words[:5]):
                for login in logins:
                    if made.get(login, pattern) >= pattern:
                        made[login] = pattern
    return made


def _patterns(words: tuple[str, ...]) -> list[tuple[Pattern, list[str]]]:
    first, last = words[0], words[-1]
    if len(words) == 1:
        return [(Pattern.FIRST, [first] if len(first) > 1 else [])]
    whole: list[str] = []
    surname: list[str] = []
    forename: list[str] = []
    cut: list[str] = []
    for place, a in enumerate(words):
        initialed = surname if place else forename
        for other, b in enumerate(words):
            if place == other:
                continue
            whole.append(a + b)
            if len(a) > 1:
                initialed += (a + b[0], b[0] + a)
            for x, y in CUTS:
                if len(b) < y or len(a) < x:
                    continue
                if len(a) > x:
                    if not a.startswith(b[:y], x):
                        cut.append(a[:x] + b[:y])
                elif len(b) > y > 1:
                    forename.append(a + b[:y])
    initials = "".join([word[0] for word in words])
    if len(words) > 2:
        whole += ("".join(words), "".join(words[1:]) + first, first + initials[1:-1] + last)
        surname.append(initials[:-1] + last)
        forename.append(first + initials[1:])
    return [
        (Pattern.FULL, whole),
        (Pattern.FLAST, surname),
        (Pattern.FIRSTL, forename),
        (Pattern.LAST, [word for word in words[1:] if len(word) > 1]),
        (Pattern.CUT, cut),
        (Pattern.FIRST, [first] if len(first) > 1 else []),
        (Pattern.INITIALS, [first[0] + last[0], initials]),
    ]


def glued(letters: str) -> list[str]:
    """Return the initial-and-surname logins hidden in `monaoctocat`, whose words nothing separates: mctocat, moctocat, ..."""
    return [letters[0] + letters[place:] for place in range(3, len(letters) - 3)] if len(letters) > 7 else []
