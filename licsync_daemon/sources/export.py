"""GitHub's own export of an instance's usage, which is passed on unchanged and read only as far as needed.

Its users are normally one encrypted string. Its facts about the instance are documented in prose only ("Server ID", "Host name", "Version":
docs.github.com, "License reports", checked 2026-11-24). The key names `instance.server_id`, `instance.host_name`, `instance.version` and
`users` come from one field report of a GHES 3.15 (low confidence), so other spellings are accepted too, and the same keys at the top
level. The format of a readable list of users is not published: the fields of the usage document (`id`, `emails`) are assumed.
"""

import json
import re
from collections import Counter
from datetime import datetime
from typing import Any

from licsync_daemon.model.decode import host_of, name_of, release_of
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.ports import AccountSink
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import Account, Collected, Export, Notice, UsageCounts
from licsync_daemon.sources.rows import Tally, Unusable, usable
from licsync_daemon.sources.saved_again import beginning_of

MAX_NAME = 255  # characters of a server id, a hostname or a version
OPENING = re.compile(r'\{\s*["}]')  # how a JSON object begins; other braces, as in a banner, do not count
INSIDE = re.compile(r'("\s*:|[\[,])\s*\Z')  # what comes before a value inside another one
NEARBY = 1000  # characters
PROBE_BYTES = 4096
FACTS = frozenset({"instance", "users", "serverid", "hostname", "version"})


class _RepeatedKeyError(ValueError):
    """An object has one key twice, which readers understand differently; the message is the key."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedKeyError(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def collected_from(data: bytes | bytearray, spool: AccountSink, *, what: str, again: str, at: datetime) -> Collected:
    """Return the usage in an export. A readable list of users fills `spool`; an encrypted one cannot be counted.

    Args:
        data: The output of a program, or the content of a file.
        spool: An empty spool.
        what: The origin, for messages: "the output of …".
        again: The next step if the export cannot be used.
        at: When the export was made.

    Raises:
        RunError: `EXPORT_MALFORMED`, or `REPORT_CONFLICTING_ROWS` if it contains one account twice.
    """
    export, users = read_export(data, what, again)
    counts, notices = UsageCounts(counted=False), tuple[Notice, ...]()
    if export.is_clear:
        tally = Tally(spool, of="export", unit="user")
        tally.count((number, _row(number, user)) for number, user in enumerate(users, start=1))
        counts, notices = tally.result()
    return Collected(
        collected_at=at, version=export.version, http_only=False, counts=counts, newest_activity=at, notices=notices, export=export
    )


def read_export(data: bytes | bytearray, what: str, again: str) -> tuple[Export, list[Any]]:
    """Find the export, and its users if they are a readable list.

    The export is one whole JSON object from its first brace that has `users`; text and complete objects before it are skipped. Only white
    space and lines without braces may follow it: a second object, or the end of an enclosing one, would be ambiguous. The content is
    briefly in memory three times.

    Raises:
        RunError: `EXPORT_MALFORMED`.
    """
    if not data.strip():
        raise RunError(Code.EXPORT_MALFORMED, f"{what} is empty", again)
    _, encoding = beginning_of(bytes(data[:PROBE_BYTES]))
    if encoding:
        step = f"write it without changing its encoding, for example with `>` of a Linux shell; {again}"
        raise RunError(Code.EXPORT_MALFORMED, f"{what} is {encoding} text, as PowerShell's `>` or an editor writes it", step)
    text = data.decode("utf-8", "surrogateescape")  # bytes that are not UTF-8 may precede the export, not be part of it
    try:
        start, end, found = _find(text)
        content = text[start:end].encode()
        fields = _by_plain_name(found)
        facts = _facts(fields)
    except UnicodeEncodeError:
        raise RunError(Code.EXPORT_MALFORMED, f"{what} is not UTF-8 text", again) from None
    except _NoExportError as error:
        raise RunError(Code.EXPORT_MALFORMED, f"{what} {error}", again) from None
    users = fields["users"]
    export = Export(
        content=content,
        server_id=name_of(_plain(facts.get("serverid"))),
        hostname=host_of(_plain(facts.get("hostname"))),
        version=release_of(_plain(facts.get("version"))) or None,
        is_clear=isinstance(users, list),
        is_empty=not users or (isinstance(users, str) and users.isspace()),
    )
    return export, users if export.is_clear else []


class _NoExportError(Exception):
    """No export was found; the message says why."""


def _find(text: str) -> tuple[int, int, dict[str, Any]]:
    """Return the start and end of the export, and the decoded object. Complete objects before it, such as lines of a log, are skipped."""
    other = False  # whether a complete object was found that is not an export
    opening = OPENING.search(text)
    while opening is not None:
        at = opening.start()
        try:
            found, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError:  # whatever is complete inside is only a part of something
            raise _NoExportError("contains no complete JSON object: it is cut off, or not JSON") from None
        except _RepeatedKeyError as error:
            raise _NoExportError(f"has an object with the key `{clean(str(error), 60)}` twice") from None
        except (RecursionError, ValueError):
            raise _NoExportError("is nested too deeply, or contains a number with thousands of digits") from None
        if isinstance(_by_plain_name(found).get("users"), str | list):
            if INSIDE.search(text, max(0, at - NEARBY), at):
                raise _NoExportError("starts inside another JSON object, whose beginning is missing")
            if not re.fullmatch(r"[^\S\n]*(\n[^{}]*)?", text[end:]):
                raise _NoExportError("has data after its end")
            return at, end, found
        other = True
        opening = OPENING.search(text, end)
    raise _NoExportError("has no valid `users` (a string or a list)" if other else "contains no complete JSON object")


def _facts(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an export with what it says about its instance; inside `instance` takes precedence."""
    instance = fields.get("instance")
    return fields | (_by_plain_name(instance) if isinstance(instance, dict) else {})


def _by_plain_name(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the values by key in lower case, letters and digits only.

    Raises:
        _NoExportError: Two spellings of a key that is needed have different values.
    """
    plain: dict[str, Any] = {}
    for key, value in fields.items():
        name = re.sub(r"[^a-z0-9]", "", key.casefold())
        if plain.setdefault(name, value) != value and name in FACTS:
            raise _NoExportError(f"has the key `{clean(key, 60)}` twice, in different spellings")
    return plain


def _plain(value: Any) -> str | None:
    """Return a string that can be shown and compared; None for anything else."""
    found = value.strip() if isinstance(value, str) else ""
    return found if found and len(found) <= MAX_NAME and found.isprintable() else None


def _row(number: int, user: Any) -> Account | Unusable:
    if not isinstance(user, dict):
        return Unusable(number, "", "not an object", "user")
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
    """Return the primary address, else the first one, else "". Addresses are strings, or objects with `email` and `primary`."""
    emails = user.get("emails", user.get("email"))
    found = []
    for one in emails if isinstance(emails, list) else [emails]:
        address, primary = (one.get("email"), one.get("primary") is True) if isinstance(one, dict) else (one, False)
        if _text(address):
            found.append((not primary, _text(address)))
    return min(found, key=lambda one: one[0])[1] if found else ""


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
