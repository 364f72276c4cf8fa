"""Tokens as people leave them in files: the message says what is wrong, and never contains the token."""

import json
import re

import pytest

from tests.acceptance.support import Site

GOOD_PART = "ghp_MarkedSecretOfThisTest0123456789abcd"
FILES = {"source": "instances__emea__source__token", "delivery": "defaults__delivery__token", "cloud": "cloud__token"}


FAULTS = {
    "missing": (None, "credential_missing", "no credential "),
    "malformed": (f"{GOOD_PART} {GOOD_PART}".encode(), "credential_malformed", "has white space inside"),
}
CASES = [(side, fault) for side in FILES for fault in FAULTS]


@pytest.mark.parametrize(("side", "fault"), CASES, ids=map("_".join, CASES))
def test_a_token_that_cannot_be_used(site: Site, side: str, fault: str) -> None:
    """The instance fails with its own code, the file is named, the value is not."""
    file, (content, code, words) = FILES[side], FAULTS[fault]
    site.command.evidence.secrets.add(GOOD_PART)
    path = site.credentials / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    done = site.run("--run-now", "emea", "--json")

    assert done.code == 4
    (run,) = json.loads(done.out)["instances"]
    assert (run["state"], run["code"]) == ("failed", code)
    assert words in run["cause"]
    assert file in run["cause"]
    assert site.uploads("emea") == 0


def test_white_space_around_a_token_is_accepted(site: Site) -> None:
    """A trailing newline, as editors write it, is accepted."""
    for file in FILES.values():
        path = site.credentials / file
        path.write_bytes(path.read_bytes().strip() + b" \r\n")

    assert site.run("--run-now", "emea").code == 0


def test_one_bad_token_leaves_the_other_instance_alone(site: Site) -> None:
    """The other instance is synced, exit 3."""
    (site.credentials / FILES["source"]).write_text("short")

    done = site.run("--run-now", "--json")

    assert done.code == 3
    assert [run["state"] for run in json.loads(done.out)["instances"]] == ["failed", "confirmed"]


def test_a_token_from_the_environment_wins(site: Site) -> None:
    """A variable is taken before the file; its value is in no output."""
    path = site.credentials / FILES["source"]
    token = path.read_text().strip()
    path.write_text("x" * 40)

    assert site.run("--run-now", "emea", env={"LICSYNC_INSTANCES__EMEA__SOURCE__TOKEN": token}).code == 0


def test_a_token_delivered_by_systemd_is_found(site: Site) -> None:
    """`LoadCredential=licsync:DIR` delivers files with a prefix; they are found in $CREDENTIALS_DIRECTORY."""
    delivered = site.folder / "delivered"
    delivered.mkdir(mode=0o700)
    for path in list(site.credentials.iterdir()):
        path.rename(delivered / f"licsync_{path.name}")

    assert site.run("--run-now", env={"CREDENTIALS_DIRECTORY": str(delivered)}).code == 0


def test_a_wrong_token_is_not_repeated_in_any_message(site: Site) -> None:
    """A token that the server does not accept is unauthorized, and is in no message."""
    site.command.evidence.secrets.add(GOOD_PART)
    for file in FILES.values():
        (site.credentials / file).write_text(GOOD_PART)

    done = site.run("--run-now")

    assert done.code == 4
    assert "unauthorized" in done.out


def test_check_offline(site: Site) -> None:
    """Everything in place is 0; each missing or malformed credential is a failure and the exit is 2; a stray file is a warning."""
    good = site.run("check", "--offline", "--all")
    assert (good.code, re.search(r"credentials +ok +all found", good.out) is not None) == (0, True)

    (site.credentials / FILES["source"]).unlink()
    (site.credentials / FILES["cloud"]).write_text("with blank")
    (site.credentials / "instances__emae__source__token").write_text("x" * 40)
    bad = site.run("check", "--offline")
    as_json = site.run("check", "--offline", "--json")

    assert (bad.code, as_json.code) == (2, 2)
    assert "did you mean instances__emea__source__token?" in bad.out
    found = json.loads(as_json.out)
    assert found["ok"] is False
    assert [(one["outcome"], one["code"]) for one in found["tests"] if one["test"] == "credentials"] == [
        ("fail", "credential_malformed"),
        ("fail", "credential_missing"),
        ("warn", None),
    ]
    assert list(site.box.requests) == []


def test_an_open_credentials_folder_is_refused(site: Site) -> None:
    """A folder that others may enter is not used, and the line that repairs it is given."""
    site.credentials.chmod(0o755)

    done = site.run("--run-now", "emea")

    assert done.code == 4
    assert "credential_malformed" in done.out
    assert f"run: chmod 0750 {site.credentials}" in done.out
