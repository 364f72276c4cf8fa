"""The newest upload of a server in GraphQL."""

from itertools import permutations

import pytest

from licsync_daemon.cloud.graphql_decode import read_installation
from licsync_daemon.model.usage import UploadState


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([("FAILURE", "2026-11-02T00:00:00Z"), ("SUCCESS", "2026-11-01T00:00:00Z"), ("PENDING", None)], UploadState.FAILURE),
        ([("SUCCESS", "2026-11-02T00:00:00Z"), ("FAILURE", "2026-11-01T00:00:00Z")], UploadState.SUCCESS),
        ([("SUCCESS", "2026-11-02T00:00:00Z"), ("FAILURE", "2026-11-02T00:00:00Z")], UploadState.FAILURE),
        ([("SUCCESS", "yesterday"), ("FAILURE", "2026-11-01T00:00:00Z")], UploadState.FAILURE),
        ([("LATER", "2026-11-02T00:00:00Z"), ("SUCCESS", "2026-11-01T00:00:00Z")], None),
        ([], None),
    ],
)
def test_the_order_of_uploads_decides_nothing(nodes: list[tuple[str, str | None]], expected: UploadState | None) -> None:
    """The newest counts, and of two with one date the worse; null nodes are skipped."""
    for some in permutations([{"syncState": state, "createdAt": date} for state, date in nodes]):
        found = read_installation({"hostName": "h", "isConnected": True, "userAccountsUploads": {"nodes": [None, *some, 5]}})
        assert found is not None
        assert found.upload_state is expected
