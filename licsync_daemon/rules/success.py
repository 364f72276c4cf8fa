"""What counts as success, and what as failure. Pure.

Success is a closed set: one word of each server. Words for a failure, and every error, mean failure. Anything else keeps waiting.
"""

import json
import re
from typing import Any

from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import SyncEntry, Upload, UploadState

SYNCED = "success"  # the only status GitHub shows; no list of values is published
#: Words for a failure, letters only. The contract and GraphQL have FAILURE; the others are what relays say instead.
FAILURES = frozenset(
    {"fail", "failed", "failing", "failure", "partialfailure", "partiallyfailed", "error", "errored", "errors", "invalid", "unprocessable"}
    | {"reject", "rejected", "rejection", "refused", "denied", "declined"}
    | {"aborted", "canceled", "cancelled", "expired", "timeout", "timedout"}
)
QUOTED = 60  # characters of a state


def is_failure(word: str | None) -> bool:
    """Return whether a status or state means failure, in any spelling."""
    return re.sub(r"[^a-z]", "", (word or "").casefold()) in FAILURES


def is_synced(entry: SyncEntry) -> bool:
    """Return whether an entry reports a successful sync."""
    return entry.status == SYNCED and not entry.error


def has_failed(entry: SyncEntry) -> bool:
    """Return whether an entry reports a failed sync: it has a word for a failure, or a success with an error."""
    return is_failure(entry.status) or (entry.status == SYNCED and bool(entry.error))


def badness(entry: SyncEntry) -> int:
    """Return how bad an entry is: of two with the same date the worse one counts."""
    return 2 if has_failed(entry) else 0 if is_synced(entry) else 1


def error_in(*values: Any) -> str:
    """Return the first error among `values` as one line; "" without one. An error may be a string, an object, a list, or true."""
    for value in values:
        if not (value.strip() if isinstance(value, str) else value):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return clean(text) or "an error without readable text"
    return ""


def read_upload(found: Any) -> Upload:
    """Read an endpoint's response about an upload. A state that is not known, or no state, counts as pending and is quoted."""
    fields = found if isinstance(found, dict) else {}
    state, error = fields.get("sync_state"), error_in(fields.get("error"), fields.get("errors"))
    if error or (isinstance(state, str) and is_failure(state)):
        return Upload(state=UploadState.FAILURE, error=error, said="" if state == UploadState.FAILURE else _quoted(state))
    if isinstance(state, str) and state in UploadState.__members__:
        return Upload(state=UploadState(state))
    return Upload(state=UploadState.PENDING, said=_quoted(state))


def _quoted(state: Any) -> str:
    if state is None:
        return "none"
    return clean(f'"{state}"' if isinstance(state, str) else json.dumps(state), QUOTED)
