"""GitHub's own export of an instance's usage, read only as far as it must be: it is passed on unchanged.

Its users are normally one encrypted text. What it says about its instance is described in words only ("Server ID", "Host name", "Version":
docs.github.com, "License reports", checked 2026-11-24). The key names `instance.server_id`, `instance.host_name`, `instance.version` and
`users` come from one field report of a GHES 3.15 (low confidence), so other spellings of those words are taken too, and the same keys at
the top level. The form of a readable list of users is not published at all: what the usage document has (`id`, `emails`) is assumed.
"""

import json
import re
from datetime import datetime
from typing import Any

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import Account, Collected, Export, Notice, UsageCounts
from licsync_daemon.sources.rows import Tally, Unusable, usable
from licsync_daemon.state.spool import AccountSpool

MAX_NAME = 255  # characters of a server id, a hostname or a version
SCANS = 4  # how often the whole text is gone through at most: half an object around another half costs one time more
SMALL = 1024 * 1024  # characters that may always be gone through
_DECODER = json.JSONDecoder()


def collected_from(data: bytes | bytearray, spool: AccountSpool, *, what: str, again: str, at: datetime) -> Collected:
    """Return what an export gives; a readable list of users fills `spool`, an encrypted one cannot be counted.

    Args:
        data: What a program printed, or a file holds.
        spool: An empty spool.
        what: Where it comes from, for messages: "the export printed by …".
        again: The next step where it cannot be used.
        at: When it was made.

    Raises:
        RunError: `EXPORT_MALFORMED`, or `REPORT_CONFLICTING_ROWS` where one account stands in it twice.
    """
    export, users = read_export(data, what, again)
    counts, notices = UsageCounts(counted=False), tuple[Notice, ...]()
    if export.is_clear:
        tally = Tally(spool, of="export", unit="user")
        for number, user in enumerate(users, start=1):
            tally.count(number, _row(number, user))
        counts, notices = tally.result()
    return Collected(
        collected_at=at, version=export.version, http_only=False, counts=counts, newest_activity=at, notices=notices, export=export
    )


def read_export(data: bytes | bytearray, what: str, again: str) -> tuple[Export, list[Any]]:
    """Find the export, and its users where they are a readable list.

    Text before it is skipped: it is the first JSON object that is complete and has `users`. After it only white space and lines without
    braces may stand: a second object, or the end of one around it, would leave open what is meant. For a moment it is held three times.

    Raises:
        RunError: `EXPORT_MALFORMED`.
    """
    if not data.strip():
        raise RunError(Code.EXPORT_MALFORMED, f"{what} is empty", again)
    text = data.decode("utf-8", "surrogateescape")  # what is not UTF-8 may stand before the export, not in it
    try:
        start, end, found = _find(text)
        content = text[start:end].encode()
    except UnicodeEncodeError:
        raise RunError(Code.EXPORT_MALFORMED, f"{what} is not UTF-8 text", again) from None
    except _NoExportError as error:
        raise RunError(Code.EXPORT_MALFORMED, f"{what} {error}", again) from None
    fields = _by_plain_name(found)
    users = fields["users"]
    instance = fields.get("instance")
    told = fields | (_by_plain_name(instance) if isinstance(instance, dict) else {})
    export = Export(
        content=content,
        server_id=_name(told.get("serverid")),
        hostname=_name(told.get("hostname")),
        version=_name(told.get("version")),
        is_clear=isinstance(users, list),
        is_empty=not users or (isinstance(users, str) and users.isspace()),
    )
    return export, users if export.is_clear else []


class _NoExportError(Exception):
    """What is wrong with a text in which no export is found."""


def _find(text: str) -> tuple[int, int, dict[str, Any]]:
    """Return where the export begins and ends, and the object it is."""
    other = False  # a complete object that is no export
    gone_through, at = 0, text.find("{")
    while at >= 0:
        try:
            found, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            gone_through += error.pos - at + error.pos // 4  # the second: json counts the lines before an error
            if gone_through > SCANS * len(text) + SMALL:
                break
            at = text.find("{", at + 1)
            continue
        except (RecursionError, ValueError):
            raise _NoExportError("is nested too deeply, or has a number of thousands of digits") from None
        if isinstance(_by_plain_name(found).get("users"), str | list):
            if not re.fullmatch(r"[^\S\n]*(\n[^{}]*)?", text[end:]):
                raise _NoExportError("goes on after its end")
            return at, end, found
        other = True
        at = text.find("{", end)
    raise _NoExportError("has no `users` that are a text or a list" if other else "holds no complete JSON object")


def _by_plain_name(fields: dict[str, Any]) -> dict[str, Any]:
    """Return values by their key in lower case, letters and digits only; the first of two equal ones counts."""
    plain: dict[str, Any] = {}
    for key, value in fields.items():
        plain.setdefault(re.sub(r"[^a-z0-9]", "", key.casefold()), value)
    return plain


def _name(value: Any) -> str | None:
    """Return a text that may be shown and compared; None for anything else."""
    found = value.strip() if isinstance(value, str) else ""
    return found if found and len(found) <= MAX_NAME and found.isprintable() else None


def _row(number: int, user: Any) -> Account | Unusable:
    if not isinstance(user, dict):
        return Unusable(number, "", "it is not an object", "user")
    suspended = user.get("suspended")
    return usable(
        number,
        str(user.get("id", "")),
        login=_text(user.get("login")),
        email=_primary(user),
        suspended="false" if suspended is None else str(suspended),
        unit="user",
    )


def _primary(user: dict[str, Any]) -> str:
    """Return the primary address, else the first one, else ""; addresses are texts, or objects with `email` and `primary`."""
    emails = user.get("emails", user.get("email"))
    found = []
    for one in emails if isinstance(emails, list) else [emails]:
        address, primary = (one.get("email"), one.get("primary") is True) if isinstance(one, dict) else (one, False)
        if _text(address):
            found.append((not primary, _text(address)))
    return min(found, key=lambda one: one[0])[1] if found else ""


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
