"""What `check` says about PostgreSQL's replicas."""

import pytest

from licsync_daemon.monitoring.preflight.rows import Outcome
from licsync_daemon.monitoring.preflight.shared_state import replica_rows


@pytest.mark.parametrize(("replicas", "names", "warns"), [(0, "", False), (1, "", True), (2, " ", True), (2, "FIRST 1 (a, b)", False)])
def test_asynchronous_replicas_are_a_warning(replicas: int, names: str, warns: bool) -> None:
    """One that is promoted may lack a delivery record; with a synchronous one, or none at all, that cannot happen."""
    rows = list(replica_rows(replicas, names))
    assert [row.outcome for row in rows] == ([Outcome.WARN] if warns else [])
