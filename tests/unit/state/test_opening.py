"""Where the state is, before anything is opened."""

import sys
from pathlib import Path

import pytest

from licsync_daemon.model.errors import ConfigError
from licsync_daemon.model.secrets import redact
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.settings.mistakes import Mistake
from licsync_daemon.settings.state_address import state_address
from licsync_daemon.state.opening import session
from licsync_daemon.state.storable import storable
from tests.fakes import a_config

ADDRESS = "postgresql://licsync@db.example.com/licsync"


def test_without_the_driver_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only who uses PostgreSQL needs it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "licsync_daemon.state.postgresql", raising=False)
    with pytest.raises(ConfigError) as error:
        session(a_config(state=ADDRESS), Credentials(tmp_path, {}, tmp_path), create=True)
    (problem,) = error.value.problems
    assert (problem.where, "driver" in problem.what, 'pip install "licsync-daemon[postgresql]"' in problem.hint) == ("state", True, True)


ACCEPTED = [
    "sqlite",
    " PostgreSQL ",
    ADDRESS,
    "postgres://licsync@db.example.com:5433/licsync?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    "postgresql://licsync@one.example.com:5432,two.example.com:5433/licsync",
    "postgresql:///licsync?host=/run/postgresql",
    "postgresql://licsync@[2001:db8::7]/licsync",
]
REFUSED = {
    "mysql://db.example.com/x": "the address of a PostgreSQL database",
    "db.example.com": "the address of a PostgreSQL database",
    "": "the address of a PostgreSQL database",
    "postgresql://db.example.com/a b": "the address of a PostgreSQL database",
    "postgresql://u:hunter2@db.example.com/x": "a password is not allowed",
    "postgresql://u:hunter2@@db.example.com/x": "a password is not allowed",
    "postgresql://u@db.example.com/x?password=hunter2": "a password is not allowed",
    "postgresql://u@db.example.com/x?PASSWORD=hunter2": "a password is not allowed",
    "postgresql://u@db.example.com": "names no database",
    "postgresql://u@db.example.com/x?options=-csearch_path=y": "options is set by this program",
    "postgresql://u@[::1/x": "not a valid address",
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_an_address_of_the_state(text: str) -> None:
    """It is used as it is written; the two words in small letters."""
    assert state_address(text) == (text.strip().lower() if "://" not in text else text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_address_of_the_state(text: str) -> None:
    """The message says why, and repeats no password."""
    with pytest.raises(Mistake, match=REFUSED[text]) as error:
        state_address(text)
    assert "hunter2" not in f"{error.value} {getattr(error.value, 'hint', '')}"


def test_the_password_in_a_credential_is_concealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever quotes it: a server, or an error of the driver."""
    monkeypatch.setitem(sys.modules, "licsync_daemon.state.postgresql", type(sys)("without"))
    credentials = Credentials(tmp_path, {"LICSYNC_STATE_URL": "postgresql://u:s3cret%40word@db.example.com/x"}, tmp_path)
    monkeypatch.setattr(sys.modules["licsync_daemon.state.postgresql"], "connect", lambda *_, **__: None, raising=False)
    assert session(a_config(state="postgresql"), credentials, create=False) is None
    assert "s3cret" not in redact("the server says: s3cret%40word")
    assert "s3cret" not in redact("the server says: s3cret@word")


@pytest.mark.parametrize(
    ("value", "stored"), [("a\0b", "a\ufffdb"), ("\ud800", "\ufffd"), ("früher 😀", "früher 😀"), (7, 7), (b"\0", b"\0"), (None, None)]
)
def test_what_postgresql_can_store(value: object, stored: object) -> None:
    """Only text is changed, and only where it must be."""
    assert storable(value) == stored
