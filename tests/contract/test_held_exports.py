"""The contract of `HeldExports`, sentence by sentence of its docstrings, over every implementation."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.ports import HeldExports
from licsync_daemon.model.run import Run
from licsync_daemon.model.usage import Export
from licsync_daemon.state.held_exports import FileHeldExports
from tests.fakes import MemoryHeldExports, a_run

EXPORT = Export(content=b'{"users": "opaque"}', server_id="server-emea", hostname=None, version="3.19.2", is_clear=False, is_empty=False)


def run_of(export: Export, instance: str = "emea") -> Run:
    return a_run(instance=instance, content_hash=f"sha256:{hashlib.sha256(export.content).hexdigest()}")


@pytest.fixture(params=["files", "memory"])
def exports(request: pytest.FixtureRequest, tmp_path: Path) -> HeldExports:
    return MemoryHeldExports() if request.param == "memory" else FileHeldExports(tmp_path / "held")


def test_what_is_kept_is_found_unchanged(exports: HeldExports) -> None:
    """By the run's content hash: the content byte for byte, and what it says of its instance."""
    run = run_of(EXPORT)
    assert exports.find(run) is None
    exports.keep(run, EXPORT)
    assert exports.find(run) == EXPORT
    assert exports.find(replace(run, run_id="a later run of the same usage")) == EXPORT


def test_another_content_is_not_found(exports: HeldExports) -> None:
    """Neither under another hash, nor of another instance, nor for a run that has none."""
    run = run_of(EXPORT)
    exports.keep(run, EXPORT)
    assert exports.find(replace(run, content_hash="sha256:" + "0" * 64)) is None
    assert exports.find(replace(run, instance="apac")) is None
    assert exports.find(replace(run, content_hash=None)) is None


def test_keeping_again_changes_nothing(exports: HeldExports) -> None:
    """A second run of the same usage keeps the same export."""
    run = run_of(EXPORT)
    exports.keep(run, EXPORT)
    exports.keep(run, EXPORT)
    assert exports.find(run) == EXPORT


def test_a_sweep_deletes_all_of_an_instance_but_what_is_wanted(exports: HeldExports) -> None:
    """Other instances keep theirs; one whose name begins alike is another instance."""
    other = replace(EXPORT, content=b'{"users": "newer"}')
    kept, dropped, neighbor = run_of(EXPORT), run_of(other), run_of(other, "emea_two")
    for run, export in ((kept, EXPORT), (dropped, other), (neighbor, other)):
        exports.keep(run, export)
    exports.sweep("emea", (None, kept))
    assert [exports.find(run) is not None for run in (kept, dropped, neighbor)] == [True, False, True]
    exports.sweep("emea")
    assert [exports.find(run) is not None for run in (kept, neighbor)] == [False, True]
    exports.sweep("nothing was ever kept of this one")


def test_what_was_damaged_is_not_found(tmp_path: Path) -> None:
    """A changed byte, a cut file, a foreign file: an approval never lets anything else pass than what was approved."""
    exports, run = FileHeldExports(tmp_path / "held"), run_of(EXPORT)
    exports.keep(run, EXPORT)
    (path,) = (tmp_path / "held").iterdir()
    whole = path.read_bytes()
    for damaged in (
        whole.replace(b"opaque", b"0paque"),
        whole[:-1],
        whole[:10],
        b"",
        b"not JSON\n" + EXPORT.content,
        b"[1]\n" + EXPORT.content,
    ):
        path.write_bytes(damaged)
        assert exports.find(run) is None
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """It is the state's error, with the folder in it, and nothing half is found afterwards."""
    (tmp_path / "held").write_text("a file where the folder should be")
    exports = FileHeldExports(tmp_path / "held")
    with pytest.raises(StateUnwritableError, match="held"):
        exports.keep(run_of(EXPORT), EXPORT)
    assert exports.find(run_of(EXPORT)) is None
