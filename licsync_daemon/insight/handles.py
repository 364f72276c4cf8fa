"""What a login, a local part, or a name says about a person: handles, name parts, and the logins that a name can make. Pure text."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

# Local parts and logins that name a function, a list or a machine. One of them is nobody's, so such an account is not compared.
ROLES = frozenset(
    """
    abuse accounting accounts admin administrator administrators announce backup billing bot bots bugs build buildbot builder builds
    builduser careers ci compliance daemon deploy deployment devel developer developers development devops discuss donotreply events
    everyone finance ftp help helpdesk hostmaster hr info infra it itsupport jenkins jira jobs legal list lists localhost mailerdaemon
    mailman maintainer maintainers maintenance marketing monitoring nagios news newsletter nobody noc noreply notifications office
    office365 operations operator ops owner packages payments postmaster press privacy qa releases root sales scanner security service
    services svc sysadmin system systems team teams test tester testing tests tickets translations user users vagrant webadmin
    webmaster www wwwdata
    """.split()  # noqa: SIM905 - a list of a hundred strings would be no clearer
)
# Local parts that people choose at a domain of their own: they say nothing, and nothing against a person.
EMPTY = frozenset(
    """
    account code contact dev email foss free git github gitlab hacker hello hey hi home inbox linux mail mailbox mailing me my myself
    opensource oss patches personal post private pub public self software spam stuff web work x xxx
    """.split()  # noqa: SIM905 - a list of a hundred strings would be no clearer
)
LIST_DOMAIN = re.compile(r"(?:^|\.)(?:lists?|googlegroups|groups|noreply|bounces?)\.")
LONGEST = 100  # characters of a login (39 at GitHub), a local part (64) or a name that are read
NUMBERS = re.compile(r"^([0-9]*)(.*?)([0-9]*)$")
CODE = re.compile(r"[a-z]{0,2}[0-9]{4,}[a-z]?|[0-9a-f]{16,}")  # u12345, a staff number: says nothing of a name
GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "æ": "ae", "ß": "ss", "ł": "l", "đ": "d", "\u0131": "i"})
PLAIN = str.maketrans({"ø": "o", "æ": "ae", "ß": "ss", "ł": "l", "đ": "d", "\u0131": "i"})
_ASIDE = re.compile(r"\(.*?\)|\".*?\"|<.*?>")
_APOSTROPHES = {ord("'"): None, 0x2019: None}
_WORD = re.compile(r"[a-z]+")
_SPLIT = re.compile(r"[^a-z0-9]+")
_TITLES = frozenset({"jr", "dr", "phd", "prof", "sr", "mr", "ms", "mrs"})


class Handle(NamedTuple):
    """A login or a local part, taken apart.

    Attributes:
        letters: What is left between the digits at both ends, without separators.
        parts: The same, split at separators.
        number: The digits at the ends.
    """

    letters: str
    parts: tuple[str, ...]
    number: str


def fold(text: str) -> str:
    """Return text in lower-case ASCII; letters without an ASCII form are left out."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", text.casefold().translate(PLAIN)).encode("ascii", "ignore").decode()


def handle(text: str) -> Handle | None:
    """Take a login or a local part apart; None if it says nothing about a person: a code, a role, an empty word."""
    if len(text) > LONGEST:
        return None
    words = _words(text)
    if len(words) == 1 and words[0].isalpha():  # most are that simple
        return None if words[0] in EMPTY or words[0] in ROLES or len(words[0]) < 2 else Handle(words[0], (words[0],), "")
    if not words or CODE.fullmatch("".join(words)):
        return None
    if len(words) > 1 and len(words[-1]) == 1 and words[-1].isdigit():
        words.pop()  # a directory added `-2`, because the login was taken
    parts, number = [], ""
    for place, word in enumerate(words):
        before, middle, after = NUMBERS.match(word).groups()  # type: ignore[union-attr]
        if place and not middle:
            after, before = before, ""
        number += before + after
        if middle:
            parts.append(middle)
    letters = "".join(parts)
    if len(letters) < 2 or letters in EMPTY or is_role(words):
        return None
    return Handle(letters, tuple(parts), number)


def is_role(words: list[str]) -> bool:
    """Return whether a login or local part names a function or a machine: all of it, or its first or last word."""
    return "".join(words).rstrip("0123456789") in ROLES or (
        len(words) > 1
        and (words[0] in {"svc", "service", "bot", "noreply", "ci", "team", "srv"} or words[-1] in {"bot", "team", "svc", "ci"})
    )


def is_nobody(login: str, address: str) -> bool:
    """Return whether an account is a function's, a list's or a machine's rather than a person's, by its login or its address."""
    local, domain = split_address(address)
    return any(is_role(_words(text)) for text in (login, local) if text) or bool(domain and LIST_DOMAIN.search(domain))


def _words(text: str) -> list[str]:
    text = fold(text).partition("+")[0]
    return [text] if text.isalnum() else [word for word in _SPLIT.split(text) if word]


def split_address(address: str) -> tuple[str, str]:
    """Return local part and domain, casefolded; the domain is "" where there is no address."""
    local, at, domain = address.strip().casefold().rpartition("@")
    return (local, domain) if at else (address.strip().casefold(), "")


@lru_cache(maxsize=4096)
def name_parts(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of a name in lower-case ASCII, in each spelling: `ü` as `u` and as `ue`. Nothing in parentheses or quotes."""
    name = _ASIDE.sub(" ", name[:LONGEST]).translate(_APOSTROPHES)
    found = []
    for spelling in (name,) if name.isascii() else (name, name.casefold().translate(GERMAN)):
        words = tuple([word for word in _WORD.findall(fold(spelling)) if word not in _TITLES])
        if words and words not in found:
            found.append(words)
    if not found and any(letter.isalpha() for letter in name):  # a name without a Latin letter: one word
        found.append(("".join(name.casefold().split()),))
    return tuple(found)
