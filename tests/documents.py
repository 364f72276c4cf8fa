"""Read a usage document as its receiver does, and compute its hash from the definition alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

from licsync_daemon.model.usage import Account
from tests.fakes import a_document


def content(directory: Path, accounts: list[Account], **changes: Any) -> tuple[dict[str, Any], str]:
    """Write a document; return its JSON and its hash."""
    with a_document(directory, accounts, **changes) as document:
        return json.loads(b"".join(document.plain())), document.content_hash


def hash_by_hand(document: dict[str, Any]) -> str:
    """Compute the content hash from the document alone, as its definition says."""
    canonical = {
        "server_id": document["instance"]["server_id"],
        "host_name": document["instance"]["host_name"],
        "users": document["users"],
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
