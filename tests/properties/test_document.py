"""The usage document's hash, computed from the document alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licsync_daemon.model.usage import Account, ServerIdentity
from tests.fakes import a_document


def content(directory: Path, accounts: list[Account], **changes: Any) -> tuple[dict[str, Any], str]:
    """Write a document; answer its JSON and its hash."""
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


addresses = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

accounts = st.lists(
    st.builds(Account, id=st.integers(1, 2**63 - 1), login=st.just("x"), email=addresses, suspended=st.booleans()),
    max_size=8,
    unique_by=lambda account: account.id,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(accounts, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10))
def test_the_hash_can_be_computed_from_the_document_alone(tmp_path: Path, every: list[Account], host: str) -> None:
    """For any accounts, an independent computation finds the same hash, and the users are the active ones in order."""
    found, content_hash = content(tmp_path, every, identity=ServerIdentity(hostname=host, server_id="s"))
    assert content_hash == hash_by_hand(found)
    assert [user["id"] for user in found["users"]] == sorted(account.id for account in every if not account.suspended)
