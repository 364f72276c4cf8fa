"""A fleet folder of real or realistic people, checked with nothing but the csv module, dictionaries, and the published seat rule.

The figures are computed here from the folder alone; no code of the package takes part in them.
"""

import csv
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.practice.sandbox import Fleet, load_fleet
from tests.integration.support import COLUMNS, OK, Practice, pairs

COMMAND = Path(sys.executable).with_name("licsync-daemon")
TOOL = Path(os.environ.get("REAL_FLEET") or Path(__file__).parents[3] / "shared" / "tools" / "real_fleet.py")
GIVEN = ("Ana", "Zoë", "Łukasz", "Søren", "Aoife", "Nguyễn", "Ольга", "Şebnem", "Jörg", "美咲", "D'Arcy", "José María")
FAMILY = ("García", "Müller", "Weiß", "O'Brien", "Trần", "Иванова", "Dvořák", "Çelik", "Ó Súilleabháin", "Smith-Jones", "田中")


def write_realistic_fleet(folder: Path) -> None:
    """Write what the tool with real names writes, with invented ones: several addresses a person, odd cases, missing addresses."""
    rng = random.Random(11)
    names = ["emea", "amer", "apac", "labs"]
    tables: dict[str, list[list[object]]] = {name: [] for name in names}
    members: list[dict[str, Any]] = []
    for number in range(700):
        name = f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"
        addresses = [
            f"{prefix}{number}@{domain}" for prefix, domain in (("w", "example.com"), ("żółw", "bücher.example"), ("p", "mail.example.net"))
        ]
        for place in rng.sample(names, k=rng.choice((1, 1, 2, 3))):
            table = tables[place]
            email = rng.choices((addresses[0], rng.choice(addresses), addresses[0].upper(), ""), (80, 10, 8, 2))[0]
            raw = json.dumps({"name": name, "note": 'a, "b"\nand c'}, ensure_ascii=False, indent=1)
            suspended = rng.choices(("true", "false"), (6, 94))[0]
            table.append(
                [
                    "2020-01-01T08:00:00Z",
                    len(table) + 3,
                    f"user-{number}",
                    email,
                    "user",
                    suspended,
                    "10.0.0.1",
                    1,
                    1,
                    1,
                    "false",
                    "",
                    raw,
                    "true",
                ]
            )
        if rng.random() < 0.6:
            verified = rng.sample(addresses, k=rng.randint(1, 3))
            saml = rng.choice((None, addresses[0].title(), addresses[2], f"nameid-{number}"))
            members.append(
                {
                    "login": f"user-{number}",
                    "name": name,
                    "verified_emails": verified,
                    "saml_name_id": saml,
                    "member_roles": ["octo-org:Member"],
                    "two_factor": True,
                }
            )
    # One account twice in full and one whose id is no number: unusable, and far under one percent.
    tables["emea"] += [tables["emea"][5], [*tables["emea"][6][:1], "n/a", *tables["emea"][6][2:]]]
    instances = [{"name": n, "hostname": f"ghes-{n}.example.com", "server_id": f"0000-{n}", "version": "3.19.2"} for n in names]
    (folder / "cloud").mkdir(parents=True)
    top = {"account": "octo-enterprise", "seats_purchased": 2000, "verified_domains": ["example.com"], "instances": instances}
    (folder / "fleet.json").write_text(json.dumps(top), encoding="utf-8")
    (folder / "cloud" / "members.json").write_text(json.dumps(members, ensure_ascii=False), encoding="utf-8")
    for place, table in tables.items():
        (folder / place).mkdir()
        with (folder / place / "all_users.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *table])


@dataclass(frozen=True)
class Truth:
    """What the folder itself says: per instance the rows, suspended, unusable, and the accounts to be sent; and the seats."""

    rows: dict[str, int]
    suspended: dict[str, int]
    unusable: dict[str, int]
    sent: dict[str, set[tuple[int, str]]]
    server_ids: dict[str, str]
    seats: int


def read_truth(folder: Path) -> Truth:
    top = json.loads((folder / "fleet.json").read_text(encoding="utf-8"))
    members = json.loads((folder / "cloud" / "members.json").read_text(encoding="utf-8"))
    rows, suspended, unusable, sent = {}, {}, {}, {}
    for instance in top["instances"]:
        name = instance["name"]
        with (folder / name / "all_users.csv").open(encoding="utf-8-sig", newline="") as file:
            table = list(csv.DictReader(file))
        seen: dict[str, tuple[str, ...]] = {}
        active: set[tuple[int, str]] = set()
        counts = [0, 0]
        for line in table:
            key = (line["login"], line["email"], line["suspended?"])
            assert seen.get(line["id"], key) == key, "one id with two contents"
            if not re.fullmatch("[1-9][0-9]*", line["id"]) or line["id"] in seen:
                counts[1] += 1
            elif line["suspended?"] == "true":
                counts[0] += 1
            else:
                active.add((int(line["id"]), line["email"]))
            seen[line["id"]] = key
        rows[name], (suspended[name], unusable[name]), sent[name] = len(table), counts, active
    claimed = {address.casefold() for one in members for address in [*one["verified_emails"], one["saml_name_id"] or ""]}
    everybody = [address.casefold() for accounts in sent.values() for _, address in accounts]
    seats = len(members) + len({address for address in everybody if address} - claimed) + everybody.count("")
    return Truth(rows, suspended, unusable, sent, {one["name"]: one["server_id"] for one in top["instances"]}, seats)


@pytest.fixture(scope="module", params=["realistic", "real"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fleet") / request.param
    if request.param == "realistic":
        write_realistic_fleet(folder)
    elif not TOOL.is_file():
        pytest.skip(f"{TOOL} is not here; the invented people stand for the real ones")
    else:
        made = subprocess.run([sys.executable, str(TOOL), str(folder)], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"{TOOL.name} found no people on this machine: {made.stderr.strip()}")
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):  # real addresses do not stay behind
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def truth(folder: Path) -> Truth:
    return read_truth(folder)


def test_the_cloud_holds_exactly_what_the_folder_says(make_practice: Callable[[Fleet], Practice], folder: Path, truth: Truth) -> None:
    """Per instance the rows are sent, suspended or unusable; the cloud holds the unsuspended accounts and no other; seats follow the published rule."""
    practice = make_practice(load_fleet(folder))

    outcome = practice.run()

    assert outcome.exit == OK
    for name, expected in truth.sent.items():
        counts = outcome[name].counts
        assert counts.rows == counts.sent + counts.suspended + counts.unusable
        assert (counts.rows, counts.sent, counts.suspended, counts.unusable) == (
            truth.rows[name], len(expected), truth.suspended[name], truth.unusable[name],
        )  # fmt: skip
        held = practice.box.cloud.holdings(truth.server_ids[name])
        assert pairs(held) == expected
        assert len(held) == len(expected)
    assert practice.box.cloud.seats() == truth.seats
    with practice.recording() as parts:
        seats = parts.store.seats()
        assert seats is not None
        assert seats.consumed == truth.seats


def test_the_demo_says_what_the_folder_says(folder: Path, truth: Truth) -> None:
    """`demo --fleet DIR --json` reports the same figures, in both of its rounds."""
    result = subprocess.run([COMMAND, "demo", "--fleet", folder, "--json"], capture_output=True, text=True, timeout=100, check=False)

    assert result.returncode == 0, result.stderr
    rounds = json.loads(result.stdout)["rounds"]
    assert len(rounds) == 2
    for one in rounds:
        found = {run["instance"]: run for run in one["instances"]}
        assert {name: run["counts"]["sent"] for name, run in found.items()} == {name: len(sent) for name, sent in truth.sent.items()}
        assert {name: run["counts"]["rows"] for name, run in found.items()} == truth.rows
        assert {name: run["counts"]["unusable"] for name, run in found.items()} == truth.unusable
        assert {name: run["accounts_in_cloud"] for name, run in found.items()} == {name: len(sent) for name, sent in truth.sent.items()}
        assert one["people"] == one["seats"]["consumed"] == truth.seats
        assert one["cloud_has_what_was_sent"] is True
