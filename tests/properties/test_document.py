"""The usage document's hash, computed from the document alone."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licsync_daemon.model.usage import Account, ServerIdentity
from tests.documents import content, hash_by_hand

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
