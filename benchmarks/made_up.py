"""A made-up company with a truth: people who do not exist, on several instances and in the cloud, some of them counted twice.

First names come from a short list, surnames from syllables, both unevenly: some names are crowded, as real ones are. No two people
have one name. Logins follow another convention on each instance. Nothing here is anybody's data.
"""

import random
from collections.abc import Iterator
from itertools import accumulate

from benchmarks.fleets import FleetFolder, Joined
from licsync_daemon.insight.values import Instance, Person, ServerAccount

FIRST = (
    "ann anton berta bruno carla cem clara dana dario edda emil fiona franz gita greta hans hilda igor ines jana jonas karla kofi lena",
    "louis maja marek nadia nils olga oskar paula pavel quinn rosa ruben sara sven tara theo uma urs vera viktor wanda willem yara zoe",
)
SYLLABLES = "ba ber dor fal gan hol jen kar lin mor nel ost pir quen ros sol tam ul vor wes yan zim"
DOMAINS = ("corp.example", "corp.example", "corp.example", "old-corp.example", "mail.example", "home.example")
VERIFIED = {"corp.example", "old-corp.example"}
NAMES = ("emea", "amer", "apac", "labs")


def made_up(seed: int, people: int) -> FleetFolder:
    """Return a fleet of so many people; the same for the same seed."""
    rng = random.Random(seed)
    instances = [Instance(name=name, hostname=f"ghes-{name}.example.com") for name in NAMES]
    fleet = FleetFolder([], [], instances, {}, {})
    joined = Joined()
    taken: set[tuple[str, str]] = set()
    firsts, syllables = " ".join(FIRST).split(), SYLLABLES.split()
    surnames = ["".join(rng.choices(syllables, k=rng.choice((2, 3)))) for _ in range(people)]
    weights = list(accumulate(1 / (n + 20) for n in range(people)))
    mailboxes: set[str] = set()
    for number in range(people):
        first, last = rng.choice(firsts), rng.choices(surnames, cum_weights=weights)[0]
        while (first, last) in taken:
            first, last = rng.choice(firsts), rng.choices(surnames, cum_weights=weights)[0]
        taken.add((first, last))
        owner, addresses = f"{first} {last} {number}", _addresses(rng, first, last, mailboxes)
        cloud = rng.random() < 0.65
        login = f"@{_login(rng.choice((0, 2, 4)), first, last, addresses[0], rng)}{number if rng.random() < 0.3 else ''}"
        cloud = cloud and ("@", login) not in taken
        verified = addresses if rng.random() < 0.3 else [rng.choice(addresses)]
        listed = []
        for account in _accounts(rng, (first, last), addresses, number, taken):
            fleet.accounts.append(account)
            fleet.owner[account.key] = owner
            joined.join(account.key, account.email)
            if cloud and account.email in verified:
                joined.join(account.key, login)
                listed.append(account)
        if cloud:
            taken.add(("@", login))
            fleet.owner[login] = owner
            fleet.people.append(
                Person(
                    login=login[1:],
                    name=f"{first.title()} {last.title()}",
                    verified_emails=tuple(one for one in verified if one.partition("@")[2] in VERIFIED),
                    server_ids=tuple((f"ghes-{one.instance}.example.com", one.id) for one in listed),
                    server_emails=tuple(sorted({one.email for one in listed})),
                    in_cloud=True,
                )
            )
    fleet.seat = {end: joined.find(end) for end in fleet.owner}
    return fleet


def _addresses(rng: random.Random, first: str, last: str, taken: set[str]) -> list[str]:
    forms = (f"{first}.{last}", f"{first[0]}{last}", f"{first}{last[0]}", f"{last}", f"{first}{rng.randint(1, 99)}", f"{first}.{last}")
    found = []
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        local, domain = rng.choice(forms), rng.choice(DOMAINS)
        while f"{local}@{domain}" in taken:
            local += str(rng.randint(2, 9))
        taken.add(f"{local}@{domain}")
        found.append(f"{local}@{domain}")
    return found


def _accounts(
    rng: random.Random, name: tuple[str, str], addresses: list[str], number: int, taken: set[tuple[str, str]]
) -> Iterator[ServerAccount]:
    for place in sorted(rng.sample(range(len(NAMES)), rng.choice((1, 1, 2, 2, 3)))):
        address = rng.choice(addresses)
        login = _login(place, *name, address, rng)
        while (NAMES[place], login) in taken:
            login += "-2"
        taken.add((NAMES[place], login))
        yield ServerAccount(instance=NAMES[place], id=str(number), login=login, email=address)


def _login(style: int, first: str, last: str, address: str, rng: random.Random) -> str:
    return (
        f"{first}-{last}",
        f"{first[0]}{last}",
        address.partition("@")[0].replace(".", "-"),
        f"u{rng.randint(10000, 99999)}",
        f"{last[:4]}{first[:2]}",
    )[style]
