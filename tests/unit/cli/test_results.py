"""The table of results: a time of delivery only if something was delivered."""

from datetime import timedelta

import pytest

from licsync_daemon.cli.results import HEADERS, show_results
from licsync_daemon.model.run import RunState
from licsync_daemon.monitoring.status_json import run_json
from licsync_daemon.sync.waiting import Result
from tests.fakes import T0, a_run, an_instance

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "shown", "prepared", "delivered"),
    [
        (RunState.DELIVERED, "01:00:00", None, "2026-11-24T01:00:00Z"),
        (RunState.CONFIRMED, "01:00:00", None, "2026-11-24T01:00:00Z"),
        (RunState.AWAITING_UPLOAD, "prepared 01:00:00", "2026-11-24T01:00:00Z", None),
        (RunState.AWAITING_EXPORT, "-", None, None),
        (RunState.SUPERSEDED, "-", None, None),
    ],
)
def test_delivered(capsys: pytest.CaptureFixture[str], state: RunState, shown: str, prepared: str | None, delivered: str | None) -> None:
    """What waits for a person was only prepared, or not even that."""
    run = a_run(state=state, collected_at=T0 - 2 * HOUR, delivered_at=T0 - HOUR)

    show_results([Result(an_instance(), run)], T0)

    header, row = capsys.readouterr().out.splitlines()[:2]
    start, end = (header.index(name) for name in HEADERS[-3:-1])
    assert row[start:end].strip() == shown
    assert (run_json(run)["prepared_at"], run_json(run)["delivered_at"]) == (prepared, delivered)
