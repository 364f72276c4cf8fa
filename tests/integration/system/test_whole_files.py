"""Files that must survive a power failure: what is synced to the disk, in which order, and what a failure leaves behind."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
import structlog

from licsync_daemon.deliveries.outbox import Outbox
from licsync_daemon.model.instance import ManualDelivery
from licsync_daemon.model.usage import Export
from licsync_daemon.state.digest_key import own_digest_key
from licsync_daemon.state.held_exports import HELD, FileHeldExports
from licsync_daemon.system.files import read_bounded, write_whole
from tests.fakes import T0, a_document, a_run, an_account, an_instance


class Synced(list[str]):
    """The names of what is synced, in order, and what each file contained then."""

    def __init__(self) -> None:
        super().__init__()
        self._contents: dict[int, bytes] = {}

    def note(self, descriptor: int) -> None:
        link = Path(f"/proc/self/fd/{descriptor}")
        self.append(link.readlink().name)
        if link.is_file():
            self._contents[os.fstat(descriptor).st_ino] = link.read_bytes()

    def has_all_of(self, path: Path) -> bool:
        """Return whether the file was synced with the content that it has now."""
        return self._contents.get(path.stat().st_ino) == path.read_bytes()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Synced:
    """Record what is synced instead of waiting for the disk."""
    found = Synced()
    monkeypatch.setattr(os, "fsync", found.note)
    return found


def write(path: Path, content: bytes, **more: str | None) -> None:
    write_whole(path, lambda file: file.write(content), part=path.with_suffix(".part"), mode=0o640, **more)


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path: Path, synced: Synced) -> None:
    """First the content, then the name; the permissions do not depend on the umask."""
    before = os.umask(0o077)
    try:
        write(tmp_path / "a.json", b"new")
    finally:
        os.umask(before)
    assert synced == ["a.part", tmp_path.name]
    assert synced.has_all_of(tmp_path / "a.json")
    assert ((tmp_path / "a.json").read_bytes(), (tmp_path / "a.json").stat().st_mode & 0o777) == (b"new", 0o640)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_leftover_is_replaced_and_a_link_is_not_followed(tmp_path: Path) -> None:
    """Whatever lies under the temporary name."""
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "a.part").symlink_to(tmp_path / "victim")
    write(tmp_path / "a.json", b"new")
    assert (tmp_path / "victim").read_text() == "untouched"
    assert not (tmp_path / "a.json").is_symlink()


@pytest.mark.parametrize("fault", ["write", "fsync", "group"])
def test_a_failure_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """A full disk, a failing disk, an unknown group: what was there is still there."""
    (tmp_path / "a.json").write_bytes(b"old")

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if fault == "fsync":
        monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(LookupError if fault == "group" else OSError):
        write_whole(
            tmp_path / "a.json", broken if fault == "write" else (lambda file: file.write(b"new")),
            part=tmp_path / "a.part", mode=0o600, group="no-such-group" if fault == "group" else None,
        )  # fmt: skip
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert not (tmp_path / "a.part").exists(), "a part would keep a full disk full"


def test_a_held_export_is_durable(tmp_path: Path, synced: Synced) -> None:
    """It and its folder are synced before the run is recorded as held."""
    content = b'{"users": []}'
    export = Export(content=content, server_id="server-emea", hostname=None, version=None, is_clear=False, is_empty=True)
    run = a_run(content_hash="sha256:" + hashlib.sha256(content).hexdigest())
    exports = FileHeldExports(tmp_path / HELD)
    exports.keep(run, export)
    (path,) = (tmp_path / HELD).iterdir()
    assert synced.has_all_of(path)
    assert synced[-1] == "held"
    assert synced[-2].endswith(".part")
    assert exports.find(run) == export


def test_every_file_of_a_hand_over_is_durable(tmp_path: Path, synced: Synced) -> None:
    """The export, the note and the manifest."""
    instance = an_instance(delivery=ManualDelivery(outbox=tmp_path))
    assert isinstance(instance.delivery, ManualDelivery)
    with a_document(tmp_path, [an_account(1)]) as document:
        synced.clear()
        asyncio.run(Outbox(instance, instance.delivery, upload_page="https://github.com/enterprises/octo", now=T0).send(document, "key"))
    parts = [name for name in synced if name.endswith(".part")]
    assert [name.partition("-")[0] for name in parts] == [".usage", ".README.txt.part", ".manifest.json.part"]
    assert synced[-1] == "emea", "the folder after all its files"
    assert all(synced.has_all_of(path) for path in (tmp_path / "emea").iterdir())


def test_the_digest_key_is_synced_before_it_has_its_name(tmp_path: Path, synced: Synced) -> None:
    """No power failure leaves an empty key, with which every account would appear as another one; only the owner can read the file."""
    path = tmp_path / "digest.key"
    assert own_digest_key(tmp_path) == path.read_bytes()
    assert synced.has_all_of(path)
    assert synced[0].startswith(".digest.key-")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31, None], ids=["empty", "short", "31 bytes", "a named pipe"])
def test_an_unusable_digest_key_is_replaced_loudly(tmp_path: Path, content: bytes | None) -> None:
    """With a short key the addresses behind the digests could be guessed. What was there is kept for whoever asks why."""
    path = tmp_path / "digest.key"
    os.mkfifo(path) if content is None else path.write_bytes(content)
    assert len(own_digest_key(tmp_path, create=False)) == 32
    with structlog.testing.capture_logs() as logs:
        key = own_digest_key(tmp_path)
        assert own_digest_key(tmp_path) == key == path.read_bytes()
    assert len(key) == 32
    assert [(one["event"], one["log_level"]) for one in logs] == [("state.digest_key_replaced", "critical")]
    assert content is None or (tmp_path / "digest.key.unusable").read_bytes() == content


def test_reading_neither_blocks_nor_fills_the_memory(tmp_path: Path) -> None:
    """A named pipe, a device, a folder and a large file are errors at once."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(3 * 1024**3)
    for path in (tmp_path / "pipe", tmp_path / "large", tmp_path, Path("/dev/zero"), tmp_path / "missing"):
        with pytest.raises(OSError):
            read_bounded(path, 1024)


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    """A pipe stays a pipe, as `/dev/null` stays a device for root; no temporary file is left."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        write_whole(pipe, lambda file: file.write(b"x"), part=tmp_path / ".part", mode=0o600)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
