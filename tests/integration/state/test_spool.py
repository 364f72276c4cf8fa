"""The accounts of one collection: sorted, distinguished, and deleted with the process."""

import subprocess
import sys
from pathlib import Path

import pytest

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.usage import MAX_ID, Account, Present
from licsync_daemon.state.spool import AccountSpool
from tests.fakes import an_account


def test_accounts_come_out_ordered_by_id_without_the_suspended(tmp_path: Path) -> None:
    """Whatever the order of adding, the active accounts come out by id, every time they are asked for."""
    with AccountSpool(tmp_path) as spool:
        for number in (10, 2, MAX_ID, 1):
            assert spool.add([an_account(number)]) == {}
        spool.add([an_account(5, suspended=True)])
        for _ in range(2):
            assert [account.id for account in spool.active()] == [1, 2, 10, MAX_ID]


@pytest.mark.parametrize(
    ("again", "answer"),
    [
        (an_account(1), {0: Present.DUPLICATE}),
        (an_account(1, login="other"), {0: Present.CONFLICT}),
        (an_account(1, email="USER1@example.com"), {0: Present.CONFLICT}),
        (an_account(1, email=""), {0: Present.CONFLICT}),
        (an_account(1, suspended=True), {0: Present.CONFLICT}),
        (an_account(2), {}),
    ],
    ids=["the same", "login", "case of the address", "no address", "suspended", "another id"],
)
def test_an_id_that_is_there_already(tmp_path: Path, again: Account, answer: dict[int, Present]) -> None:
    """The same content twice is a duplicate, other content a conflict; the first is kept either way."""
    with AccountSpool(tmp_path) as spool:
        spool.add([an_account(1)])
        assert spool.add([again]) == answer
        assert next(spool.active()) == an_account(1)


def test_ids_twice_among_accounts_that_are_added_together(tmp_path: Path) -> None:
    """Each is named by its position, whether the first is from this call or an earlier one; the others are stored."""
    with AccountSpool(tmp_path) as spool:
        assert spool.add([an_account(2), an_account(2), an_account(1), an_account(2, email="")]) == {
            1: Present.DUPLICATE,
            3: Present.CONFLICT,
        }
        assert spool.add([an_account(3), an_account(1), an_account(4)]) == {1: Present.DUPLICATE}
        assert [account.id for account in spool.everyone()] == [1, 2, 3, 4]


def test_text_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """Quotes, any alphabet and blanks survive."""
    account = an_account(1, login="O'Hara; DROP TABLE account", email="мона+tag@münchen.example")
    with AccountSpool(tmp_path) as spool:
        spool.add([account])
        assert list(spool.active()) == [account]


def test_clearing_forgets_everything(tmp_path: Path) -> None:
    """After a cleared attempt only the new one counts, as often as it takes."""
    with AccountSpool(tmp_path) as spool:
        for number in range(1, 4):
            spool.clear()
            assert spool.add([an_account(number, login="again")]) == {}
            assert [account.id for account in spool.active()] == [number]


def test_no_name_is_left_on_the_disk_at_any_time(tmp_path: Path) -> None:
    """The file has no name while it is open, however many accounts it holds, and none afterwards."""
    with AccountSpool(tmp_path) as spool:
        assert list(tmp_path.iterdir()) == []
        for number in range(1, 20_001):
            spool.add([an_account(number)])
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_our_error(tmp_path: Path) -> None:
    """Where no file can be made, the error says so in our words."""
    with pytest.raises(StateUnwritableError, match="cannot store the collected accounts"), AccountSpool(tmp_path / "nowhere"):
        pass


FULL_DISK = """
import resource, secrets, sys
from pathlib import Path
from licsync_daemon.model.errors import StateUnwritableError
from tests.fakes import a_document, an_account

directory = Path(sys.argv[1])
# So few accounts stay in the spool's cache, but their document does not fit.
number_of = {"spool": 60_000, "document": 4_000}[sys.argv[2]]
accounts = [an_account(number, email=secrets.token_hex(50) + "@example.com") for number in range(1, number_of + 1)]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    a_document(directory, accounts)
except StateUnwritableError as error:
    print(error)
print(sorted(directory.iterdir()))
"""


@pytest.mark.parametrize(
    ("what", "words"), [("spool", "cannot store the collected accounts in"), ("document", "cannot write the usage document to")]
)
def test_a_full_disk_is_our_error(tmp_path: Path, what: str, words: str) -> None:
    """A disk without room ends the collection with our error, and leaves nothing behind, on the disk or in the process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path), what],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    said, files = done.stdout.splitlines()
    assert words in said
    assert files == "[]"
    assert done.stderr == ""
