"""Whether the receiver of a webhook took a message, by the body of its 2xx. Pure.

No format is standard. Receivers that took a message answer with nothing, `ok`, `1`, an ID, or the message itself; those that did not say so
in a flag, a status, an error, a number, or plain words. Only such a sign is a refusal: an answer that says nothing counts as taken.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from licsync_daemon.rules.success import is_failure

_FLAGS = frozenset({"ok", "success", "successful", "succeeded", "accepted", "delivered", "sent", "issuccess"})  # false or 0: refused
_ERRORS = frozenset(  # not empty: refused
    {"error", "errors", "err", "errormessage", "exception", "fault", "faultstring", "failed", "failure", "failures"}
)
_STATES = frozenset({"status", "state", "result", "outcome", "type", "message", "msg", "statustext"})  # a word for a failure: refused
_ERROR_NUMBERS = frozenset({"errcode", "errorcode", "retcode", "errno"})  # not 0: refused
_NUMBERS = frozenset({"code", "status", "statuscode"})  # below 0, or 400 and more: refused
_WORDS = frozenset({"message", "msg", "detail", "description", "reason", "result", "title"})  # the only sign, and of a failure: refused
LONGEST = 100  # characters of such an explanation
_INSIDE = frozenset({"response", "result", "results", "data", "body"})
_NOTHING = frozenset({"", "0", "false", "no", "none", "null", "nil", "ok", "success", "noerror", "[]", "{}"})

_PAGE = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style|title)\b.*?</(?:script|style|title)\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_ELEMENT = re.compile(r"<(?:\w+:)?(\w+)[^>]*>([^<]*)(?=<)")
_FINE = re.compile(r"\W*(?:ok|okay|1|true|success\w*|accepted|received|done|queued|thanks?|thank you)(?:\W.*)?$", re.IGNORECASE | re.DOTALL)
_NO_ERRORS = re.compile(
    r"\b(?:no|0|zero|without)(?: any)? (?:errors?|failures?|failed)\b|\b(?:errors?|failed|failures?)\s*[:=]\s*(?:0|none)\b"
)
_REFUSAL = re.compile(
    r"\b(?:errors?|exception|fail\w*|invalid\w*|unauthori[sz]ed|forbidden|denied|rejected|refused|prohibited|archived|disabled|expired"
    r"|revoked|unavailable|unknown|missing|required|unsupported|malformed|timed? ?out|too many|not (?:found|allowed|permitted|accepted"
    r"|delivered|sent|authed|configured|in channel)|bad (?:payload|request|gateway)|(?:sign|log) ?in"
    r"|no (?:service|text|team|permission|active hooks|such)"
    r"|rate.?limit\w*|throttl\w*|quota)\b"
)
_LIMIT = re.compile(r"\b429\b|rate.?limit|too.?many.?requests|throttl|quota", re.IGNORECASE)


class Receipt(Enum):
    """What the body of a 2xx says about the message."""

    TAKEN = "taken"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    WEB_PAGE = "web_page"  # of a sign-in, or of a device in between


def receipt(body: bytes) -> Receipt:
    """Return what the beginning of a receiver's body says; its content type is often wrong and does not matter."""
    text = body.decode("utf-8-sig", "replace").strip()
    if _PAGE.match(text):
        return Receipt.TAKEN if _FINE.match(_TAG.sub(" ", text)) else Receipt.WEB_PAGE
    if _refuses(text):
        return Receipt.RATE_LIMITED if _LIMIT.search(text) else Receipt.REFUSED
    return Receipt.TAKEN


def _refuses(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if text.startswith("<"):
            return any(_field_refuses(key, value.strip()) for key, value in _ELEMENT.findall(text))
        return _text_refuses(text)
    if isinstance(found, str):
        return _text_refuses(found)
    fields = list(_fields(found))
    if found is False or any(_field_refuses(key, value) for key, value in fields):
        return True
    return not any(_field_accepts(key, value) for key, value in fields) and any(_words_refuse(key, value) for key, value in fields)


def _text_refuses(text: str) -> bool:
    plain = _NO_ERRORS.sub("", text.casefold().replace("_", " "))
    return not _FINE.match(text.strip()) and _REFUSAL.search(plain) is not None


def _fields(found: Any, depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an object, and of those inside it that repeat the answer."""
    for one in found if isinstance(found, list) else [found]:
        for key, value in one.items() if isinstance(one, Mapping) else ():
            yield key, value
            if depth and _letters(key) in _INSIDE:
                yield from _fields(value, depth - 1)


def _field_refuses(key: str, value: Any) -> bool:
    name, number = _letters(key), _number(value)
    if name in _FLAGS:
        return value is False or number == 0 or (isinstance(value, str) and _letters(value) in {"false", "no"})
    if name in _ERRORS:
        return bool(value) and not (isinstance(value, str) and _letters_or_digits(value) in _NOTHING)
    if name in _ERROR_NUMBERS:
        return number is not None and number != 0
    if name in _STATES and (value is False or (isinstance(value, str) and is_failure(value))):
        return True
    return name in _NUMBERS and number is not None and (number < 0 or number >= 400)


def _field_accepts(key: str, value: Any) -> bool:
    name, number = _letters(key), _number(value)
    if name in _FLAGS or name in _STATES:
        return value is True or (isinstance(value, str) and _FINE.match(value) is not None)
    return (name in _ERROR_NUMBERS and number == 0) or (name in _NUMBERS and number is not None and 0 <= number < 400)


def _words_refuse(key: str, value: Any) -> bool:
    """Return whether a short explanation is one of a failure; the text of our own message, which may be repeated, is not."""
    return _letters(key) in _WORDS and isinstance(value, str) and len(value) <= LONGEST and "licsync" not in value and _text_refuses(value)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.casefold())


def _letters_or_digits(text: str) -> str:
    return re.sub(r"[^a-z0-9\[\]{}]", "", text.casefold())


def _number(value: Any) -> float | None:
    """Return a number, also one in a string; a flag is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value.strip()) else None
