"""The credentials in use, so that no text repeats one, wherever the text comes from.

Whatever reads a credential calls `remember`; `conceal` replaces it in a text, also where a server quotes it in base64, or escaped for a
URL, for JSON or for HTML. The registry belongs to the process, as the environment does; it is never written anywhere.
"""

import base64
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

SECRET = "[secret]"  # noqa: S105 - what is shown instead
MAX_REMEMBERED = 10_000  # three for each of 1,000 instances, and the values before their last rotations
SHORTEST = 4  # a shorter credential protects nothing, and replacing it would garble every text
WHOLE_WORD_BELOW = 8  # characters: a shorter credential may be a part of ordinary words
LONG_PART = 12  # the length from which a part of a secret path is a key, not a word
DEPTH = 4  # escapes within escapes

SECRET_KEYS = re.compile(r"token|secret|password|authorization|proxy_auth", re.IGNORECASE)
PATTERNS = (
    (re.compile(r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{10,}"), "[token]"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "[token]"),  # the form of GitHub's tokens before they had prefixes
    (re.compile(r"\b(Bearer|Basic|token)\s+[A-Za-z0-9+/=._~-]{8,}"), r"\1 [token]"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+@"), "[credentials]@"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+"), "[address]"),
)

_PREFIX = 4  # characters of a needle by which it is found
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([^\w\s]))")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]")
_Needle = tuple[str, str]  # what gives a credential away, and how it is found: "text" or "base64"
_remembered: dict[str, tuple[_Needle, ...]] = {}  # the least recently read first
_by_prefix: dict[str, list[_Needle]] = {}


def remember(value: str) -> None:
    """Conceal a credential from now on: as it is, its password if it is `USER:PASSWORD`, and the keys in it if it is part of an address."""
    if value in _remembered:
        _remembered[value] = _remembered.pop(value)
        return
    needles = tuple(dict.fromkeys(_needles(value)))
    _remembered[value] = needles
    for needle in needles:
        _by_prefix.setdefault(needle[0][:_PREFIX], []).append(needle)
    if len(_remembered) > MAX_REMEMBERED:
        _forget(next(iter(_remembered)))


def conceal(text: str, *, shortest: int = SHORTEST) -> str:
    """Return `text` without any credential in use. Where one was escaped, the whole text is returned unescaped.

    `shortest` is the length from which a credential counts: in a name, a short one is a coincidence.
    """
    if not _by_prefix:
        return text
    text = view = _concealed(text, shortest)
    for unescape in (_from_address, _from_json, html.unescape) * DEPTH:
        deeper = unescape(view)
        if deeper != view:
            view = _concealed(deeper, shortest)
            text = view if view != deeper else text
    return text


def redact(text: str) -> str:
    """Return `text` without credentials, whatever looks like a token, passwords in addresses of proxies, and mail addresses."""
    text = conceal(text)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _needles(value: str) -> Iterator[_Needle]:
    _, colon, password = value.partition(":")
    parts = [part for part in re.split(r"[/?&=#]", value) if len(part) >= LONG_PART] if value[:1] in {"/", "?"} else []
    for secret in (value, *([password] if colon else []), *parts):
        if len(secret) < SHORTEST:
            continue
        yield secret.casefold(), "text"
        if " " in secret:
            yield secret.replace(" ", "+").casefold(), "text"
        if len(secret) >= WHOLE_WORD_BELOW:
            yield from ((needle, "base64") for needle in _base64_cores(secret.encode()))


def _base64_cores(secret: bytes) -> Iterator[str]:
    """Yield the characters that base64 of any text with `secret` in it has for certain, for each position modulo 3, in both alphabets."""
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        for alphabet in (None, b"-_"):
            yield base64.b64encode(bytes(before) + secret, alphabet).decode()[first:last]


def _concealed(text: str, shortest: int) -> str:
    folded = text.casefold()
    if len(folded) != len(text):  # rare letters; the positions must be those of the text
        folded = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    known = _by_prefix.keys()
    if known.isdisjoint(_prefixes(folded)) and known.isdisjoint(_prefixes(text)):
        return text
    done, kept = 0, []
    for start in range(len(text) - _PREFIX + 1):
        if start < done:
            continue
        found = _at(text, folded, start, shortest)
        if found is not None:
            first, end = max(done, found[0]), found[1]
            kept += [text[done:first], SECRET]
            done = end
    return "".join([*kept, text[done:]]) if done else text


def _prefixes(text: str) -> Iterator[str]:
    return map("".join, zip(*(text[start:] for start in range(_PREFIX)), strict=False))


def _at(text: str, folded: str, start: int, shortest: int) -> tuple[int, int] | None:
    """Return the range of the longest credential that begins here; None if none does."""
    ranges = []
    for needle, kind in _by_prefix.get(folded[start : start + _PREFIX], ()):
        end = start + len(needle)
        if kind != "text" or len(needle) < shortest or not folded.startswith(needle, start):
            continue
        if len(needle) >= WHOLE_WORD_BELOW or _is_whole_word(text, start, end):
            ranges.append((start, end))
    for needle, kind in _by_prefix.get(text[start : start + _PREFIX], ()):
        if kind == "base64" and len(needle) >= shortest and text.startswith(needle, start):
            ranges.append(_whole_base64(text, start, start + len(needle)))
    return max(ranges, key=lambda one: one[1], default=None)


def _is_whole_word(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _whole_base64(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a range to all of the base64 around it, which may hold the rest of the credential."""
    while start > 0 and _BASE64.match(text[start - 1]):
        start -= 1
    while end < len(text) and (_BASE64.match(text[end]) or text[end] == "="):
        end += 1
    return start, end


def _from_address(text: str) -> str:
    return unquote(text, errors="replace") if "%" in text else text


def _from_json(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[3] or chr(int(found[1] or found[2], 16)), text) if "\\" in text else text


def forget_all() -> None:
    """Conceal nothing that was remembered before, for tests."""
    _remembered.clear()
    _by_prefix.clear()


def _forget(value: str) -> None:
    for needle in _remembered.pop(value):
        same = _by_prefix[needle[0][:_PREFIX]]
        same.remove(needle)  # once: another credential may share it
        if not same:
            del _by_prefix[needle[0][:_PREFIX]]
