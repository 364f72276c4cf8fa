"""Generate a fleet: the same seed gives the same fleet."""

import csv
import io
import json
import random
import re
import unicodedata
import uuid

from licsync_daemon.practice.sandbox.fleet import Fleet, FleetInstance, Member
from licsync_daemon.practice.sandbox.reports import COLUMNS, read_report

NAMES = ("emea", "amer", "apac", "labs", "gov", "edge")
VERSIONS = ("3.17.4", "3.18.1", "3.19.2")
GIVEN = ("Mona", "Ana", "José", "Zoë", "Łukasz", "Søren", "Mehmet", "Aoife", "Yuki", "Nguyễn", "Olga", "Ivan", "Chloé", "Björn", "Fatima",
         "Priya", "Wei", "Sofía", "Ali", "Emma", "Noah", "Ines", "Jörg", "Kamala")  # fmt: skip
FAMILY = ("Lisa", "García", "Müller", "Nowak", "Şahin", "O'Brien", "Tanaka", "Trần", "Иванова", "Dvořák", "Lindqvist", "Khan", "Patel",
          "Chen", "Silva", "Smith", "Dubois", "Rossi", "Jensen", "Novák", "Weiß", "Okafor", "Cohen", "Mbeki")  # fmt: skip
LETTERS = str.maketrans({"Ł": "L", "ø": "o", "ß": "ss", "ş": "s", "Ş": "S"})  # those that are no letter with a mark
WORK_DOMAINS = ("example.com", "emea.example.com", "example.org", "bücher.example")
PRIVATE_DOMAIN = "mail.example.net"
VERIFIED_DOMAINS = frozenset({"example.com", "emea.example.com", "bücher.example"})


def generate_fleet(seed: int = 1, instances: int = 4, people: int = 2000) -> Fleet:
    """Generate people on several instances or none, with and without a cloud account, including every unusual kind of account."""
    rng = random.Random(seed)
    names = [NAMES[n] if n < len(NAMES) else f"site{n + 1}" for n in range(instances)]
    reports: dict[str, list[list[object]]] = {name: [] for name in names}
    members: list[Member] = []
    for number in range(people):
        name = f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"
        login = login_of(name, number)
        work, private = f"{login}@{rng.choice(WORK_DOMAINS)}", f"{login}@{PRIVATE_DOMAIN}"
        wanted = rng.choices((0, 1, 2, 3), (1, 10, 6, 3))[0]
        # At least one person per instance: an empty instance is an error case, not a matter of chance.
        places = [names[number]] if number < instances else rng.sample(names, k=min(wanted, instances))
        for place in places:
            reports[place].append(_report_row(rng, len(reports[place]) + 3, login, name, rng.choice((work, work, work, private))))
        if not places or rng.random() < 0.65:
            members.append(_member(rng, login, name, work, private))
    return Fleet(
        enterprise="octo-enterprise",
        seats_purchased=people + people // 4,
        verified_domains=VERIFIED_DOMAINS,
        instances=tuple(
            FleetInstance(
                name=name,
                hostname=f"ghes-{name}.example.com",
                server_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                version=rng.choice(VERSIONS),
                report=read_report(_csv(reports[name])),
            )
            for name in names
        ),
        members=tuple(members),
    )


def _report_row(rng: random.Random, number: int, login: str, name: str, email: str) -> list[object]:
    email = rng.choices((email, email.upper(), ""), (90, 9, 1))[0]
    dormant = rng.random() < 0.12
    # Indented JSON has commas, quotes and newlines, which need a real CSV parser.
    raw_login = json.dumps({"login": login, "name": name, "note": 'a, "b"'}, ensure_ascii=False, indent=1)
    return [
        f"20{rng.randint(14, 25)}-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T08:00:00Z", number, login, email,
        "admin" if rng.random() < 0.01 else "user", _flag(rng.random() < 0.05), f"10.0.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
        rng.randint(0, 40), rng.randint(0, 3), rng.randint(0, 9), _flag(dormant), "" if dormant else "2026-11-20T10:00:00Z",
        raw_login, _flag(rng.random() < 0.8),
    ]  # fmt: skip


def _member(rng: random.Random, login: str, name: str, work: str, private: str) -> Member:
    return Member(
        login=login,
        name=name,
        verified_emails=rng.choice(((work,), (private,), (work, private))),
        saml_name_id=rng.choice((None, None, work, login)),  # a NameID is not always an address
        member_roles=("octo-org:Owner",) if rng.random() < 0.02 else ("octo-org:Member",),
        two_factor=rng.random() < 0.9,
    )


def login_of(name: str, number: int) -> str:
    """Return a login as companies form them: the name in plain letters, and a number, since many people share a name."""
    plain = unicodedata.normalize("NFKD", name.translate(LETTERS)).encode("ascii", "ignore").decode().lower()
    return f"{'-'.join(re.findall('[a-z]+', plain)) or 'person'}-{number}"


def _flag(value: bool) -> str:
    return str(value).lower()


def _csv(rows: list[list[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()
