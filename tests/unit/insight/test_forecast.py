"""The forecast: tables that add up, and every part of the difference."""

import random

from licsync_daemon.insight.results import Forecast, State
from licsync_daemon.insight.values import Instance, Person, ServerAccount, Stated
from tests.unit.insight.values import AMER, BOTH, account, numbers, person, the_forecast

MONA = person("mona", "Mona", "mona@corp.example", ids=["emea:1"], server_emails=("mona@corp.example",))
HUBOT = person("hubot", "Hubot", "hubot@corp.example")
ONLY = person("", "", ids=["emea:2", "apac:2"], server_emails=("only@corp.example",))
ACCOUNTS = [
    account("emea:1", "mona", "mona@corp.example"),
    account("emea:2", "only", "only@corp.example"),
    account("apac:2", "only", "Only@Corp.example"),
]


def adds_up(found: Forecast) -> None:
    """Every table's last line is the sum of the others."""
    for lines in (found.accounts, found.people, found.seats, found.difference):
        if lines:
            assert sum(line.number for line in lines[:-1]) == lines[-1].number, lines
    assert found.seats[-1].number == found.high >= found.low
    assert sum(found.reasons.values()) == found.accounts[-1].number == sum(one.accounts for one in found.instances)


def test_a_settled_fleet_has_no_difference() -> None:
    """Accounts of equal address on several instances are one person; the forecast is what GitHub states."""
    found = the_forecast([MONA, HUBOT, ONLY], ACCOUNTS, stated=Stated(consumed=3, purchased=5))
    adds_up(found)
    assert numbers(found.accounts) == {"matched": 1, "server_only": 2, "accounts": 3}
    assert numbers(found.people) == {"open": 2, "same_address": -1, "server_people": 1}
    assert numbers(found.seats) == {"cloud_only": 1, "both": 1, "server_only": 1, "forecast": 3}
    assert numbers(found.difference) == {"stated": 3, "forecast": 3}
    assert "unexplained" in {line.code for line in found.difference}  # printed even when it is 0
    assert (found.low, found.high, found.stated, found.purchased) == (3, 3, 3, 5)
    assert found.overlap == {("", "apac"): 0, ("", "emea"): 1, ("apac", "emea"): 1}


def test_each_part_of_the_difference_is_named() -> None:
    """What changed since the last sync, part by part."""
    cases: list[tuple[str, list[Person], list[ServerAccount], dict[str, int]]] = [
        ("new", [MONA, HUBOT, ONLY], [*ACCOUNTS, account("emea:9", "new", "new@corp.example")], {"stated": 3, "new": 1, "forecast": 4}),
        (
            "gone",
            [MONA, HUBOT, ONLY],
            [ACCOUNTS[0], account("emea:2", "only", "only@corp.example", suspended=True)],
            {"stated": 3, "gone": -1, "forecast": 2},
        ),
        (
            "now_matched",
            [MONA, HUBOT, ONLY],
            [ACCOUNTS[0], account("emea:2", "only", "hubot@corp.example"), account("apac:2", "only", "hubot@corp.example")],
            {"stated": 3, "now_matched": -1, "forecast": 2},
        ),
        (
            "addresses",
            [MONA, HUBOT, ONLY],
            [*ACCOUNTS[:2], account("apac:2", "only", "other@corp.example")],
            {"stated": 3, "addresses": 1, "forecast": 4},
        ),
    ]
    for name, people, accounts, expected in cases:
        found = the_forecast(people, accounts)
        adds_up(found)
        assert numbers(found.difference) == expected, name


def test_an_instance_that_the_cloud_does_not_know_is_a_finding() -> None:
    """Its people are seats that GitHub does not count yet; those known elsewhere are not."""
    fresh = [
        account("amer:1", "a", "a@corp.example"),
        account("amer:2", "only", "only@corp.example"),
        account("amer:3", "mona", "mona@corp.example"),
    ]
    found = the_forecast([MONA, HUBOT, ONLY], [*ACCOUNTS, *fresh], instances=(*BOTH, AMER))
    adds_up(found)
    assert numbers(found.difference) == {"stated": 3, "never_synced": 1, "forecast": 4}
    assert [one.name for one in found.instances if one.never_synced] == ["amer"]
    amer = found.instances[-1]
    assert (amer.accounts, amer.people, amer.only_here) == (3, 3, 1)


def test_what_cannot_be_explained_is_printed() -> None:
    """GitHub states more seats than its list has rows."""
    found = the_forecast([MONA, HUBOT, ONLY], ACCOUNTS, stated=Stated(consumed=5))
    adds_up(found)
    assert numbers(found.difference) == {"stated": 5, "unexplained": -2, "forecast": 3}


def test_invitations_are_apart_because_the_documentation_disagrees() -> None:
    """They are seats of the forecast; if GitHub's total leaves exactly them out, that is said."""
    invited = person("new@corp.example", "", in_cloud=False, total_accounts=0)
    found = the_forecast([MONA, HUBOT, ONLY, invited], ACCOUNTS)
    assert numbers(found.seats)["invited"] == 1
    assert numbers(found.difference) == {"stated": 4, "forecast": 4}
    found = the_forecast([MONA, HUBOT, ONLY, invited], ACCOUNTS, stated=Stated(consumed=3))
    adds_up(found)
    assert numbers(found.difference) == {"stated": 3, "invitations": 1, "forecast": 4}


def test_the_consumed_licenses_alone_are_enough() -> None:
    """Without a site-admin report, the accounts are those that the cloud lists; a row without an id is still a person."""
    people = [MONA, HUBOT, ONLY, person("", "", on_servers=True, server_emails=("x@corp.example",))]
    found = the_forecast(people, [], instances=())
    adds_up(found)
    assert numbers(found.seats) == {"cloud_only": 1, "both": 1, "server_only": 2, "forecast": 4}
    assert numbers(found.difference) == {"stated": 4, "forecast": 4}
    assert {(one.name, one.accounts, one.people, one.from_cloud) for one in found.instances} == {
        ("ghes-emea.example.com", 2, 2, True),
        ("ghes-apac.example.com", 1, 1, True),
        ("(no id)", 1, 1, True),
    }


def test_without_the_cloud_every_address_is_a_person() -> None:
    """Site-admin reports alone: nothing is stated, so there is no difference to explain."""
    found = the_forecast([], [*ACCOUNTS, account("apac:5", "nobody"), account("emea:5", "nobody")])
    adds_up(found)
    assert numbers(found.seats) == {"server_only": 4, "forecast": 4}  # two accounts without an address are two people
    assert (found.difference, found.stated) == ((), None)


def test_what_the_consumed_licenses_say_by_organization_and_cost_center() -> None:
    """An organization counts each person once, however many roles there are; the largest comes first."""
    people = [
        person("mona", "Mona", "m@corp.example", member_roles=("octo:Owner", "octo:Member", "acme/repo:Collaborator"), cost_center="R&D"),
        person("hubot", "Hubot", member_roles=("octo:Member",), cost_center="R&D", saml_name_id="hubot"),
        person("", "", ids=["emea:1", "emea:2"], cost_center="Sales"),
        person("", "", visual_studio=True, visual_studio_email="vs@corp.example"),
    ]
    said = the_forecast(people, [], instances=()).consumption
    assert (said.people, said.seats, said.cloud_only, said.server_only, said.visual_studio_unmatched) == (3, 3, 2, 1, 1)
    assert (said.without_address, said.without_identity) == (1, 1)
    assert list(said.by_organization.items()) == [("octo", 2), ("acme", 1)]
    assert list(said.by_cost_center.items()) == [("R&D", 2), ("Sales", 1)]
    assert said.by_instance == {"ghes-emea.example.com": 1}


def independent(people: list[Person], accounts: list[ServerAccount]) -> tuple[int, int]:
    """The forecast as a person with sets would compute it: (seats, unknowable seats)."""
    cloud = [one for one in people if one.login]
    claims = {text.casefold() for one in cloud for text in (*one.verified_emails, one.saml_name_id, *one.server_emails) if text}
    ids = {(host, number) for one in cloud for host, number in one.server_ids}
    verified = {text.casefold().partition("@")[2] for one in cloud for text in one.verified_emails}
    hides = any(not one.verified_emails and "@" not in one.saml_name_id for one in cloud)
    left = [
        one
        for one in accounts
        if not one.suspended
        and one.login != "ghost"
        and (f"ghes-{one.instance}.example.com", one.id) not in ids
        and one.email.casefold() not in claims
    ]
    seats = {one.email.casefold() or one.key for one in left}
    return len(cloud) + len(seats), sum(seat.partition("@")[2] not in verified for seat in seats) if hides else 0


def test_an_independent_computation_agrees() -> None:
    """On a hundred random fleets, full of equal addresses, the sum and the unknowable part are what sets give."""
    for seed in range(100):
        rng = random.Random(seed)
        mails = [f"{name}{n}@{domain}" for name in "abc" for n in range(8) for domain in ("corp.example", "Corp.example", "home.example")]
        names = [Instance(name=n, hostname=f"ghes-{n}.example.com") for n in ("emea", "apac", "amer")]
        accounts = [
            account(
                f"{rng.choice(names).name}:{number}",
                rng.choice(["ghost", "x", "y", "z"]),
                rng.choice([*mails, ""]),
                suspended=rng.random() < 0.1,
            )
            for number in range(60)
        ]
        listed = rng.sample(accounts, 20)
        people = []
        for number in range(25):
            mine, address = [listed.pop()] if number < 15 else [], rng.choice(mails)
            people.append(
                person(
                    f"login{number}" if number < 20 else "",
                    "N",
                    *([address] if number < 20 and rng.random() < 0.8 else []),
                    saml_name_id=rng.choice(["", rng.choice(mails), "nid"]) if number < 20 else "",
                    ids=[one.key for one in mine],
                    server_emails=tuple(one.email for one in mine if one.email),
                    on_servers=number >= 20,
                )
            )
        people = [one for one in people if one.login]
        found = the_forecast(people, accounts, instances=names)
        adds_up(found)
        seats, unknowable = independent(people, accounts)
        assert (found.high, numbers(found.seats).get("unknowable", 0)) == (seats, unknowable), seed
        assert found.accounts[-1].number == len(accounts)
        assert {state.value for state in State} == {line.code for line in found.accounts[:-1]}
