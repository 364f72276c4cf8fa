"""Credentials: where they are found, their forms, and that no text contains one."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model.errors import Code, Problem, RunError
from licsync_daemon.model.instance import (
    CloudAccount,
    Config,
    ConnectDelivery,
    Destination,
    HttpDelivery,
    Instance,
    MailNotifier,
    NoSource,
    ReportSource,
    Schedule,
    SshSource,
    WebhookNotifier,
)
from licsync_daemon.settings.credential_audit import Expected, expected_credentials, problems, unused
from licsync_daemon.settings.credential_forms import MAX_BYTES, Kind
from licsync_daemon.settings.credentials import Credentials

TOKEN = "ghp_0123456789abcdefghij"
NAMES = ("instances__emea__source__token", "defaults__source__token")
CLOUD = Expected(names=("cloud__token",), kind=Kind.GITHUB_TOKEN)


class Places:
    """The four places, in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.environ: dict[str, str] = {}
        self.systemd, self.run_secrets, self.folder = root / "systemd", root / "run-secrets", root / "credentials"
        for one in (self.systemd, self.run_secrets, self.folder):
            one.mkdir(mode=0o750)

    def with_systemd(self) -> "Places":
        self.environ["CREDENTIALS_DIRECTORY"] = str(self.systemd)
        return self

    def credentials(self) -> Credentials:
        return Credentials(self.folder, self.environ, self.run_secrets)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def error_of(call: Callable[[], object]) -> RunError:
    with pytest.raises(RunError) as refused:
        call()
    return refused.value


def test_the_places_are_asked_in_their_order(places: Places) -> None:
    """Environment, systemd's folder, Docker's folder, the configured folder: the first one that has the name gives it."""
    places.with_systemd()
    found = []
    for folder, name in ((places.folder, "d"), (places.run_secrets, "c"), (places.systemd, "b")):
        (folder / "cloud__token").write_text(TOKEN + name)
        found.append(places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    places.environ["LICSYNC_CLOUD__TOKEN"] = TOKEN + "a"
    found.append(places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert [TOKEN + one for one in "dcba"] == found


def test_the_most_specific_name_wins_over_the_better_place(places: Places) -> None:
    """A token of the instance itself, wherever it is, comes before one of the defaults."""
    places.environ["LICSYNC_DEFAULTS__SOURCE__TOKEN"] = TOKEN + "defaults"
    assert places.credentials().text(NAMES, Kind.GITHUB_TOKEN) == TOKEN + "defaults"
    (places.folder / "instances__emea__source__token").write_text(TOKEN + "own")
    assert places.credentials().text(NAMES, Kind.GITHUB_TOKEN) == TOKEN + "own"


def test_systemds_prefix_is_stripped(places: Places) -> None:
    """`LoadCredential=licsync:DIR` delivers a file as licsync_NAME, and it is found there and only there."""
    (places.folder / "licsync_cloud__token").write_text(TOKEN)
    assert error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN)).code is Code.CREDENTIAL_MISSING
    (places.systemd / "licsync_cloud__token").write_text(TOKEN)
    assert places.with_systemd().credentials().text(["cloud__token"], Kind.GITHUB_TOKEN) == TOKEN


def test_a_credential_is_read_again_each_time(places: Places) -> None:
    """Replacing the file is all that rotation takes."""
    credentials = places.credentials()
    for token in (TOKEN + "1", TOKEN + "2"):
        (places.folder / "cloud__token").write_text(token)
        assert credentials.text(["cloud__token"], Kind.GITHUB_TOKEN) == token


def test_white_space_around_a_token_is_stripped(places: Places, subtests: pytest.Subtests) -> None:
    """A trailing newline, which every editor writes, does no harm."""
    for around in ["{}\n", "{}\r\n", "\n  {}\t\n\n", "{}"]:
        with subtests.test(around=around):
            (places.folder / "cloud__token").write_bytes(around.format(TOKEN).encode())
            assert places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN) == TOKEN


MALFORMED = [
    (b"", "is empty"),
    (b" \n", "is empty"),
    (b"hunter2hunter2 hunter2hunter2", "white space inside"),
    (b"hunter2hunter2\nhunter2hunter2\n", "white space inside"),
    (b"Bearer hunter2hunter2hunter2", "is a header"),
    ("hunter2hunter2hunter2ü".encode(), "not printable ASCII"),
    ("hunter2hunter2hunter2\u200b".encode(), "not printable ASCII"),
    (b"hunter2hunter2hunter2\xff", "not printable ASCII"),
    (b"hunter2hunter2\x00hunter2", "not printable ASCII"),
    (b"\xef\xbb\xbfhunter2hunter2hunter2", "byte-order mark"),
    (b"hunter2hunter2hunte", "fewer characters"),
    (b"hunter2" * 37, "more characters"),
    (b"hunter2" * 3000, "larger than 16 KiB"),
]


def test_a_malformed_token_is_refused_without_being_printed(places: Places, subtests: pytest.Subtests) -> None:
    """The message has the fault, the place and the next step, and never the value."""
    for content, part in MALFORMED:
        with subtests.test(content=content, part=part):
            path = places.folder / "cloud__token"
            path.write_bytes(content)
            error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
            assert error.code is Code.CREDENTIAL_MALFORMED
            assert str(path) in error.cause
            assert part in error.cause
            assert str(path) in error.next_step
            assert "hunte" not in f"{error} {error!r} {error.next_step}"
            assert error.__cause__ is None


def test_a_malformed_variable_is_named(places: Places) -> None:
    """A bad value in the environment is reported with the variable's name, and no other place is used instead."""
    (places.folder / "cloud__token").write_text(TOKEN)
    places.environ["LICSYNC_CLOUD__TOKEN"] = ""
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert (error.code, error.cause) == (Code.CREDENTIAL_MALFORMED, "the environment variable LICSYNC_CLOUD__TOKEN is empty")


def test_the_lengths_of_a_github_token(places: Places, subtests: pytest.Subtests) -> None:
    """The shortest and the longest token are taken."""
    for length in [20, 255]:
        with subtests.test(length=length):
            (places.folder / "cloud__token").write_text("!" * (length - 1) + "~")
            assert len(places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN)) == length


def test_the_lengths_of_a_delivery_token(places: Places, subtests: pytest.Subtests) -> None:
    """A delivery token may be short and long, up to 8192 characters."""
    for length, taken in [(1, True), (8192, True), (8193, False)]:
        with subtests.test(length=length, taken=taken):
            (places.folder / "t").write_text("x" * length)
            if taken:
                assert len(places.credentials().text(["t"], Kind.DELIVERY_TOKEN)) == length
            else:
                assert "more characters" in error_of(lambda: places.credentials().text(["t"], Kind.DELIVERY_TOKEN)).cause


def test_a_line_may_hold_what_can_be_printed(places: Places, subtests: pytest.Subtests) -> None:
    """A password may have white space inside and letters of every script."""
    for content, expected in [(b"mona:hunter 2\n", "mona:hunter 2"), ("mona:pässwörd".encode(), "mona:pässwörd"), (b"x", "x")]:
        with subtests.test(content=content, expected=expected):
            (places.folder / "p").write_bytes(content)
            assert places.credentials().text(["p"], Kind.LINE) == expected


A_LINE_THAT_IS_NONE_IS_REFUSED = [
    (b"", "is empty"),
    (b"hunter2\nhunter2", "more than one line"),
    (b"hunter2\x07a", "cannot be printed"),
    (b"hunter2\xff", "not UTF-8"),
]


def test_a_line_that_is_none_is_refused(places: Places, subtests: pytest.Subtests) -> None:
    """Several lines, control characters and undecodable bytes are refused without being printed."""
    for content, part in A_LINE_THAT_IS_NONE_IS_REFUSED:
        with subtests.test(content=content, part=part):
            (places.folder / "p").write_bytes(content)
            error = error_of(lambda: places.credentials().text(["p"], Kind.LINE))
            assert part in error.cause
            assert "hunter2" not in f"{error!r} {error.next_step}"


def test_an_optional_line_may_be_absent_but_not_broken(places: Places) -> None:
    """A proxy without a login is fine; one whose login is malformed is not silently without."""
    assert places.credentials().optional_text(["p"], Kind.LINE) is None
    (places.folder / "p").write_text("mona:hunter2\n")
    assert places.credentials().optional_text(["p"], Kind.LINE) == "mona:hunter2"
    (places.folder / "p").write_text("")
    assert error_of(lambda: places.credentials().optional_text(["p"], Kind.LINE)).code is Code.CREDENTIAL_MALFORMED


def test_a_missing_credential_names_the_places_and_the_file(places: Places) -> None:
    """The places searched, the names tried, and the file to write."""
    error = error_of(lambda: places.with_systemd().credentials().text(NAMES, Kind.GITHUB_TOKEN))
    assert error.code is Code.CREDENTIAL_MISSING
    for part in (*NAMES, "the environment", str(places.systemd), str(places.run_secrets), str(places.folder)):
        assert part in error.cause
    assert f"{places.folder}/instances__emea__source__token" in error.next_step


def test_missing_folders_are_no_crash(tmp_path: Path) -> None:
    """Folders that do not exist, or are files, simply hold nothing."""
    (tmp_path / "file").touch()
    credentials = Credentials(tmp_path / "none", {"CREDENTIALS_DIRECTORY": str(tmp_path / "file")}, tmp_path / "none-either")
    assert error_of(lambda: credentials.text(["cloud__token"], Kind.GITHUB_TOKEN)).code is Code.CREDENTIAL_MISSING
    assert list(unused(credentials, [CLOUD])) == []


def test_something_else_than_a_file_is_loud(places: Places) -> None:
    """A folder or a named pipe of the expected name is reported at once, and nothing waits for it."""
    (places.run_secrets / "cloud__token").mkdir()
    os.mkfifo(places.run_secrets / "t")
    (places.folder / "cloud__token").write_text(TOKEN)
    for name in ("cloud__token", "t"):
        error = error_of(lambda name=name: places.credentials().text([name], Kind.GITHUB_TOKEN))
        assert (error.code, error.cause.startswith(f"{places.run_secrets / name} exists but cannot be read:")) == (
            Code.CREDENTIAL_MISSING,
            True,
        )


def test_a_link_into_nothing_is_missing(places: Places) -> None:
    """A broken link holds nothing."""
    (places.folder / "cloud__token").symlink_to(places.folder / "none")
    assert error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN)).code is Code.CREDENTIAL_MISSING


def deny(monkeypatch: pytest.MonkeyPatch, denied: Path, *, enterable: bool) -> None:
    """Let the operating system refuse a path, whoever runs the test."""
    really_open = os.open

    def open_or_deny(path: Path, flags: int) -> int:
        if Path(path).is_relative_to(denied):
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags)

    monkeypatch.setattr(os, "open", open_or_deny)
    monkeypatch.setattr(os, "access", lambda *_: enterable)


def test_an_unreadable_file_is_loud(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that exists and cannot be read is reported, even if the next place has the credential."""
    (places.folder / "cloud__token").write_text(TOKEN)
    path = places.run_secrets / "cloud__token"
    deny(monkeypatch, path, enterable=True)
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert (error.code, error.cause) == (Code.CREDENTIAL_MISSING, f"{path} exists but cannot be read: permission denied")
    assert f"chmod 0640 {path}" in error.next_step


def test_a_folder_that_cannot_be_entered_does_not_hide_the_others(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """With systemd the folder may belong to root alone: what systemd delivers is found, and what is nowhere is explained."""
    (places.systemd / "licsync_defaults__source__token").write_text(TOKEN)
    deny(monkeypatch, places.folder, enterable=False)
    assert places.with_systemd().credentials().text(NAMES, Kind.GITHUB_TOKEN) == TOKEN
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert error.code is Code.CREDENTIAL_MISSING
    assert f"{places.folder} cannot be entered" in error.cause


def test_a_folder_of_ours_may_be_readable_for_the_group(places: Places, subtests: pytest.Subtests) -> None:
    """No access for others and no write access for the group is enough."""
    for mode in [0o700, 0o750, 0o500, 0o710]:
        with subtests.test(mode=mode):
            (places.folder / "cloud__token").write_text(TOKEN)
            places.folder.chmod(mode)
            assert places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN) == TOKEN
            assert problems(places.credentials(), [CLOUD]) == ()


def test_an_open_folder_is_refused_with_the_command_to_run(places: Places, subtests: pytest.Subtests) -> None:
    """A folder that others may enter, or the group may write, gives no credential until its mode is repaired."""
    for mode in [0o755, 0o770, 0o751, 0o702, 0o777]:
        with subtests.test(mode=mode):
            (places.folder / "cloud__token").write_text(TOKEN)
            places.folder.chmod(mode)
            error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
            assert (error.code, error.next_step) == (Code.CREDENTIAL_MALFORMED, f"run: chmod 0750 {places.folder}")
            assert f"mode {mode:04o}" in error.cause


def a_secret_volume(folder: Path, name: str = "cloud__token") -> None:
    """Fill a folder as the kubelet does."""
    data = folder / "..2026_11_26_10_00_00.1"
    data.mkdir()
    (data / name).write_text(TOKEN)
    (data / name).chmod(0o440)
    (folder / "..data").symlink_to(data.name)
    (folder / name).symlink_to(f"..data/{name}")


@pytest.mark.parametrize("mode", [0o1777, 0o3777, 0o2775, 0o755])
def test_a_secret_volume_of_kubernetes_is_used(places: Places, mode: int) -> None:
    """Its root is open to everybody and nobody can close it; its files are links through `..data`."""
    a_secret_volume(places.folder)
    places.folder.chmod(mode)
    assert places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN) == TOKEN
    assert (problems(places.credentials(), [CLOUD]), list(unused(places.credentials(), [CLOUD]))) == ((), [])


def test_only_what_the_kubelet_wrote_is_used_of_a_secret_volume(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may put files beside it; and without the sticky bit, they may replace its link."""
    a_secret_volume(places.folder, "other")
    (places.folder / "cloud__token").write_text(TOKEN)
    places.folder.chmod(0o1777)
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert (error.code, "does not belong to its Secret" in error.cause) == (Code.CREDENTIAL_MALFORMED, True)
    places.folder.chmod(0o777)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    error = error_of(lambda: places.credentials().text(["other"], Kind.GITHUB_TOKEN))
    assert ("open to other users" in error.cause, "config/kubernetes/" in error.next_step, "chmod" in error.next_step) == (
        True,
        True,
        False,
    )


def test_a_secret_that_became_a_folder_is_named_as_such(places: Places) -> None:
    """Docker makes a folder where the file to be mounted did not exist."""
    (places.folder / "cloud__token").mkdir()
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert ("is a folder, not a file" in error.cause, "Docker" in error.next_step, "chmod" in error.next_step) == (True, True, False)


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_variable_is_named_as_such(places: Places, value: str) -> None:
    """As compose makes of one that is not set; the file, which would be right, is not used silently."""
    (places.folder / "cloud__token").write_text(TOKEN)
    places.environ["LICSYNC_CLOUD__TOKEN"] = value
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert (error.code, error.cause) == (Code.CREDENTIAL_MALFORMED, "the environment variable LICSYNC_CLOUD__TOKEN is empty")
    assert "remove it" in error.next_step


def test_in_kubernetes_a_missing_credential_is_a_key_of_the_secret(places: Places) -> None:
    """Not a file that somebody could write."""
    places.environ["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert "under the key cloud__token into the Secret" in error.next_step


def test_a_folder_of_another_user_is_refused_with_the_command_to_run(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that belongs neither to root nor to us gives no credential."""
    (places.folder / "cloud__token").write_text(TOKEN)
    owner = places.folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        os.chown(places.folder, 12345, -1)
    error = error_of(lambda: places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN))
    assert (error.code, error.next_step) == (Code.CREDENTIAL_MALFORMED, f"run: chown root:licsync {places.folder}")


def test_modes_elsewhere_are_the_platforms_business(places: Places) -> None:
    """Docker's and systemd's folders have modes of their own."""
    places.run_secrets.chmod(0o755)
    (places.run_secrets / "cloud__token").write_text(TOKEN)
    assert places.credentials().text(["cloud__token"], Kind.GITHUB_TOKEN) == TOKEN


def test_every_problem_is_found_at_once(places: Places) -> None:
    """Missing, malformed, unreadable and an open folder: one line each; an optional one only where it is broken."""
    places.folder.chmod(0o755)
    (places.folder / "b").write_text("hunter2 hunter2 hunter2")
    (places.folder / "d").mkdir()
    expected = [
        Expected(names=("a",), kind=Kind.GITHUB_TOKEN),
        Expected(names=("b",), kind=Kind.DELIVERY_TOKEN),
        Expected(names=("c",), kind=Kind.LINE, required=False),
        Expected(names=("d",), kind=Kind.LINE, required=False),
    ]
    found = problems(places.credentials(), expected)
    assert [one.where for one in found] == [str(places.folder), "a", "b", "d"]
    assert "hunter2" not in repr(found)


def test_stray_files_are_named_with_the_likely_name(places: Places) -> None:
    """A misspelled file name is a warning with a suggestion; what belongs to others, or is hidden, is left alone."""
    places.with_systemd()
    (places.folder / "cloud__tokn").touch()
    (places.folder / "README").touch()
    (places.folder / ".hidden").touch()
    (places.folder / "cloud__token").touch()
    (places.run_secrets / "database-password").touch()
    (places.run_secrets / "cloud__toekn").touch()
    (places.systemd / "licsync_cloud_token").touch()
    what = "no setting uses a credential of this name"
    assert set(unused(places.credentials(), [CLOUD])) == {
        Problem(str(places.folder / "cloud__tokn"), what, "did you mean cloud__token?"),
        Problem(str(places.folder / "README"), what, "remove it if unused"),
        Problem(str(places.run_secrets / "cloud__toekn"), what, "did you mean cloud__token?"),
        Problem(str(places.systemd / "licsync_cloud_token"), what, "did you mean cloud__token?"),
    }


def test_the_place_of_a_credential_can_be_told(places: Places) -> None:
    """`config show` names the place of a secret in any form; missing and unreadable ones have none."""
    credentials = places.credentials()
    assert credentials.place(["t"]) is None
    (places.folder / "t").write_text("")
    assert credentials.place(["t"]) == str(places.folder / "t")
    places.environ["LICSYNC_T"] = "x"
    assert credentials.place(["t"]) == "the environment variable LICSYNC_T"


KEY = Expected(names=("instances__emea__source__identity", "defaults__source__identity"), kind=Kind.KEY_FILE)


def test_a_key_file_is_found_and_not_read_into_anything(places: Places) -> None:
    """The most specific name that has a file anywhere gives its path, systemd's folder first; its content does not matter."""
    places.with_systemd()
    general = places.folder / "defaults__source__identity"
    general.write_bytes(b"-----BEGIN\n\xff\n" + b"x" * 2 * MAX_BYTES)
    assert places.credentials().key_file(KEY.names) == general
    own = places.systemd / "licsync_instances__emea__source__identity"
    own.write_text("key")
    assert places.credentials().key_file(KEY.names) == own
    assert problems(places.credentials(), [KEY]) == ()


def test_a_key_file_is_no_variable(places: Places) -> None:
    """The variable of that name is the setting with the path, so it is not a credential, and the message does not name the environment."""
    places.environ["LICSYNC_INSTANCES__EMEA__SOURCE__IDENTITY"] = "/etc/key"
    error = error_of(lambda: places.credentials().key_file(KEY.names))
    assert error.code is Code.CREDENTIAL_MISSING
    assert "the environment" not in error.cause
    assert f"put a private key into the file {places.folder}/instances__emea__source__identity" in error.next_step
    assert [one.where for one in problems(places.credentials(), [KEY])] == [KEY.names[0]]
    (places.folder / "defaults__source__identity").write_text("key")
    assert places.credentials().key_file(KEY.names) == places.folder / "defaults__source__identity"


def test_an_empty_key_file_is_said_before_ssh_does(places: Places) -> None:
    """A key file with nothing in it is malformed, and an open folder gives no key."""
    path = places.folder / "defaults__source__identity"
    path.write_text("\n")
    error = error_of(lambda: places.credentials().key_file(KEY.names))
    assert (error.code, error.cause) == (Code.CREDENTIAL_MALFORMED, f"{path} is empty")
    path.write_text("key")
    places.folder.chmod(0o755)
    assert "is open to other users" in error_of(lambda: places.credentials().key_file(KEY.names)).cause


def test_an_optional_token_may_be_absent_but_not_broken(places: Places) -> None:
    """A webhook without a token is fine; one whose token is malformed is not silently without."""
    assert places.credentials().optional_text(["t"], Kind.DELIVERY_TOKEN) is None
    (places.folder / "t").write_text("short\n")
    assert places.credentials().optional_text(["t"], Kind.DELIVERY_TOKEN) == "short"
    (places.folder / "t").write_text("two words")
    assert error_of(lambda: places.credentials().optional_text(["t"], Kind.DELIVERY_TOKEN)).code is Code.CREDENTIAL_MALFORMED


def at(name: str, *, proxy: bool = False) -> Destination:
    return Destination(url="https://a", token=(name,), proxy="http://p" if proxy else None, proxy_auth=(f"{name}_proxy",) if proxy else ())


def an_instance(**differences: Any) -> Instance:
    given: dict[str, Any] = {
        "name": "emea",
        "hostname": "h",
        "server_id": None,
        "enabled": True,
        "schedule": Schedule(cron="0 2 * * 2", timezone="UTC"),
        "max_age": timedelta(days=8),
        "source": NoSource(),
        "delivery": ConnectDelivery(),
    }
    return Instance(**{**given, **differences})


def asked(tmp_path: Path, *instances: Instance, **more: Any) -> tuple[Expected, ...]:
    """The expected credentials without the cloud's token and the key of the digests."""
    cloud = CloudAccount(at=at("cloud__token"), enterprise="octo")
    config = Config(
        state_dir=tmp_path, credentials_dir=tmp_path, cloud=cloud, instances=instances, max_concurrent_runs=1, log_level="info", **more
    )
    first, *others, last = expected_credentials(config)
    assert (first, last) == (CLOUD, Expected(names=("digest_key",), kind=Kind.DIGEST_KEY, required=False))
    return tuple(others)


def test_the_login_of_a_proxy_is_optional(tmp_path: Path) -> None:
    """A destination asks for its token, and where it has a proxy, perhaps for a login there."""
    instance = an_instance(source=ReportSource(at=at("s", proxy=True), username="u"), delivery=HttpDelivery(at=at("d")))
    assert asked(tmp_path, instance) == (
        Expected(names=("s",), kind=Kind.GITHUB_TOKEN),
        Expected(names=("s_proxy",), kind=Kind.LINE, required=False),
        Expected(names=("d",), kind=Kind.DELIVERY_TOKEN),
    )


def test_only_what_is_used_is_asked_for(tmp_path: Path) -> None:
    """Supervising GitHub Connect takes the cloud's token alone; counts want their own token; a key is a credential unless it has a path."""
    assert asked(tmp_path, an_instance()) == ()
    ssh = SshSource(host="h", private_key_credential=KEY.names, known_hosts=tmp_path)
    counts = ReportSource(at=at("c"), username="u")
    assert asked(tmp_path, an_instance(source=ssh, counts=counts)) == (KEY, Expected(names=("c",), kind=Kind.GITHUB_TOKEN))
    assert asked(tmp_path, an_instance(source=SshSource(host="h", private_key=tmp_path, known_hosts=tmp_path))) == ()


def test_an_instance_at_rest_requires_nothing(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """The credentials of an instance for which nothing is done are known, so that they are no strays, and may be missing."""
    for at_rest in [{"enabled": False}, {"unsynced_because": "stays on site"}]:
        with subtests.test(at_rest=at_rest):
            ssh = SshSource(host="h", private_key_credential=KEY.names, known_hosts=tmp_path)
            found = asked(tmp_path, an_instance(source=ssh, delivery=HttpDelivery(at=at("d")), **at_rest))
            assert [(one.names[0], one.required) for one in found] == [(KEY.names[0], False), ("d", False)]


def test_notifiers_ask_for_what_they_use(tmp_path: Path) -> None:
    """A mail server with a login wants a password; a webhook's token and the secret rest of its address may be missing."""
    mail = MailNotifier(host="h", sender="a@b", to=("c@d",))
    login = MailNotifier(host="h", sender="a@b", to=("c@d",), username="u", password=("p",))
    assert asked(tmp_path, notify=(mail, login, WebhookNotifier(at=at("w"), secret_path=("s",)))) == (
        Expected(names=("p",), kind=Kind.LINE),
        Expected(names=("w",), kind=Kind.DELIVERY_TOKEN, required=False),
        Expected(names=("s",), kind=Kind.SECRET_PATH, required=False),
    )
