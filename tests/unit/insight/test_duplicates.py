"""Likely duplicates: what is found, what is refused, and the one change that is asked for."""

import random

import pytest

from licsync_daemon.insight.duplicates import group
from licsync_daemon.insight.results import Cause, Suggestion, Tier, Who
from licsync_daemon.insight.values import Person, ServerAccount
from tests.unit.insight.values import AMER, BOTH, account, duplicates, person

MONA = person("monaoctocat", "Mona Octocat", "mona.octocat@corp.example")
OTHERS = [
    person(f"user{letter}", f"{letter.title()}aron Zeta{letter}son", f"{letter}@corp.example", saml_name_id=f"{letter}@id.example")
    for letter in "bcdfgh"
]


def only(people: list[Person], accounts: list[ServerAccount], **more: object) -> Suggestion:
    found = duplicates(people, accounts, **more).suggestions  # type: ignore[arg-type]
    assert len(found) == 1, found
    return found[0]


# ---------------------------------------------------------------- what is found


def test_a_private_address_with_the_whole_name_is_sure() -> None:
    """The account's address is not the cloud person's, but its login and local part are the whole name."""
    found = only([MONA, *OTHERS], [account("emea:1207", "mona-octocat", "monaoctocat@home.example")])
    assert (found.account, found.cloud_login, found.tier, found.saves) == ("emea:1207", "monaoctocat", Tier.SURE, 1)
    assert 0.9 < found.score <= 1
    assert (found.cause, found.who, found.contact) == (Cause.PRIVATE_ADDRESS, Who.PERSON, "mona.octocat@corp.example")
    assert found.fix == "make mona.octocat@corp.example the primary address of account 1207 on emea"
    assert found.evidence[0] == 'both are called "monaoctocat"'


def test_an_initial_and_the_surname_is_evidence_in_words() -> None:
    """The words name the pattern and the person."""
    found = only([MONA, *OTHERS], [account("emea:1", "moctocat", "moctocat@home.example")])
    assert found.evidence == ('"moctocat" is an initial and the last name of Mona Octocat',)


def test_two_accounts_without_a_cloud_person_are_found() -> None:
    """One human being on two instances under two addresses: the company's address becomes the primary one of both."""
    accounts = [account("emea:17", "hedwig-quist", "hedwig.quist@home.example"), account("apac:4", "hedwigquist", "hquist@corp.example")]
    found = only(OTHERS, accounts)
    assert {found.account, found.account2} == {"emea:17", "apac:4"}
    assert (found.cloud_login, found.fix) == ("", "make hquist@corp.example the primary address of account 17 on emea")


def test_the_consumed_licenses_alone_show_duplicates() -> None:
    """A server-only row and a cloud row that are one human being, without any site-admin report."""
    row = person("", "", ids=["ghes-old.example.com:71"], server_emails=("octocat.mona@home.example",))
    found = only([MONA, row, *OTHERS], [], instances=())
    assert (found.account, found.cloud_login) == ("ghes-old.example.com:71", "monaoctocat")


def test_accounts_that_github_attributes_are_outside_the_contest_and_teach() -> None:
    """The nickname of an attributed account identifies another account of that person."""
    mona = person("mo-01", "M. O.", ids=["emea:1"], server_emails=("moonwalker@old.example",))
    accounts = [account("emea:1", "moonwalker77", "moonwalker@old.example"), account("apac:9", "moonwalker77", "x@home.example")]
    assert only([mona, *OTHERS], accounts).account == "apac:9"


def test_display_names_decide_where_servers_have_them() -> None:
    """An equal name joins what nothing else connects; another name separates equal logins."""
    found = only([MONA, *OTHERS], [account("emea:1", "u12345", "", name="Octocat, Mona")])
    assert (found.cloud_login, found.tier) == ("monaoctocat", Tier.SURE)
    assert not duplicates([MONA], [account("emea:1", "monaoctocat", "", name="Hubot Robson")]).suggestions


def test_one_account_an_instance() -> None:
    """A second account where the person already has an attributed one is rather somebody else."""
    free = only([MONA, *OTHERS], [account("emea:2", "moctocat", "moctocat@home.example")])
    mona = person("monaoctocat", "Mona Octocat", "mona.octocat@corp.example", ids=["emea:1"])
    taken = duplicates([mona, *OTHERS], [account("emea:1", "mona"), account("emea:2", "moctocat", "moctocat@home.example")])
    assert all(one.score < free.score for one in taken.suggestions)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "one",
    [
        account("emea:1", "mona-octocat", "info@home.example"),
        account("emea:1", "svc-monaoctocat", "monaoctocat@home.example"),
        account("emea:1", "monaoctocat", "no-reply@corp.example"),
        account("emea:1", "monaoctocat", "mona.octocat@lists.corp.example"),
        account("emea:1", "jenkins", "mona.octocat@home.example"),
        account("emea:1", "Build-Bot", "mona.octocat@home.example"),
    ],
)
def test_role_list_and_machine_accounts_are_not_suggested(one: ServerAccount) -> None:
    """They are nobody's seat; how many there are is counted."""
    found = duplicates([MONA, *OTHERS], [one])
    assert not found.suggestions
    assert found.set_aside == {"role, list, or machine account": 1}


def test_equal_scores_are_not_suggested() -> None:
    """Two cloud people of one name fit an account equally: neither is guessed."""
    twins = [person("mona-a", "Mona Octocat", "a@corp.example"), person("mona-b", "Mona Octocat", "b@corp.example")]
    assert not duplicates([*twins, *OTHERS], [account("emea:1", "mona-octocat", "monaoctocat@home.example")]).suggestions


def test_two_accounts_that_fit_one_person_equally_are_not_suggested() -> None:
    """On one instance at most one of them can be the person."""
    assert only([MONA, *OTHERS], [account("emea:1", "moctocat")]).cloud_login == "monaoctocat"
    assert not duplicates([MONA, *OTHERS], [account("emea:1", "moctocat"), account("emea:2", "octocatm")]).suggestions


def test_dense_clusters_are_not_suggested() -> None:
    """What a crowd could be called says nothing about who is meant."""
    crowd = [person(f"login{n:02}", f"{chr(97 + n)}{chr(97 + n)}ron Smith", f"p{n}@corp.example") for n in range(20)]
    assert not duplicates(crowd, [account("emea:1", "smith", "smith@home.example")]).suggestions


def test_the_name_of_a_company_is_nobodys() -> None:
    """People who write `acme@their.example` share the word only."""
    crowd = [account(f"emea:{n}", f"staff{n}", f"person{n}@acme.example") for n in range(5)]
    pair = [account("emea:21", "u20001", "acme@mona.example"), account("apac:22", "u20002", "acme@hubot.example")]
    assert not duplicates(OTHERS, [*crowd, *pair]).suggestions


def test_an_address_that_many_accounts_share_is_nobodys() -> None:
    """GitHub allows an address once on an instance; where a report has it many times, it is a placeholder."""
    shared = [account(f"emea:{n}", f"moctocat{n}", "moctocat@home.example") for n in range(1, 9)]
    found = duplicates([MONA, *OTHERS], shared)
    assert (found.suggestions, found.set_aside) == ((), {"address shared by many accounts": 8})


def test_suspended_accounts_are_not_suggested() -> None:
    """They take no seat."""
    assert not duplicates([MONA], [account("emea:1", "mona-octocat", "monaoctocat@home.example", suspended=True)]).suggestions


def test_two_people_in_the_cloud_are_never_joined() -> None:
    """An account cannot be two cloud people, nor can a chain of suggestions make two of them one."""
    people = [MONA, person("mo", "Mona Octocatt", "mo@corp.example")]
    found = duplicates(
        people, [account("emea:1", "mona-octocat", "m@home.example"), account("apac:1", "mona-octocatt", "mo.octocat@home.example")]
    )
    claimed = [one.account for one in found.suggestions if one.cloud_login]
    assert len(claimed) == len(set(claimed))


# ---------------------------------------------------------------- causes and fixes


def test_a_renamed_domain_is_recognized_from_those_already_joined() -> None:
    """Three people kept their local parts when the company changed its domain; the fourth account was left behind."""
    people = [
        person(
            f"user{n}",
            f"{n.title()} Testson",
            f"{n}.testson@new.example",
            ids=[f"emea:{place}"],
            server_emails=(f"{n}.testson@old.example",),
        )
        for place, n in enumerate(("anna", "berta", "carla"), 1)
    ]
    accounts = [account(f"emea:{place}", f"{n}x", f"{n}.testson@old.example") for place, n in enumerate(("anna", "berta", "carla"), 1)]
    mona = person("monaoctocat", "Mona Octocat", "mona.octocat@new.example")
    found = only([*people, mona], [*accounts, account("apac:5", "moctocat", "mona.octocat@old.example")])
    assert (found.cause, found.who) == (Cause.RENAMED_DOMAIN, Who.SERVER_ADMIN)
    assert found.fix == "make mona.octocat@new.example the primary address of account 5 on apac"


def test_each_cause_has_its_change_and_its_person() -> None:
    """Who shows which address decides what is asked of whom."""
    bare = person("monaoctocat", "Mona Octocat")
    linked = person("monaoctocat", "Mona Octocat", saml_name_id="octo-1")
    private, company = account("emea:1", "mona-octocat", "mona@home.example"), account("emea:1", "mona-octocat", "mona@corp.example")
    cases: list[tuple[Cause, list[Person], ServerAccount, Who, str]] = [
        (
            Cause.PRIVATE_ADDRESS,
            [MONA, *OTHERS],
            private,
            Who.PERSON,
            "make mona.octocat@corp.example the primary address of account 1 on emea",
        ),
        (
            Cause.OTHER_ADDRESS,
            [MONA, *OTHERS],
            company,
            Who.PERSON,
            "make mona.octocat@corp.example the primary address of account 1 on emea",
        ),
        (
            Cause.PLUS_TAG,
            [MONA, *OTHERS],
            account("emea:1", "mona-octocat", "mona.octocat+ghes@corp.example"),
            Who.PERSON,
            "make mona.octocat@corp.example the primary address of account 1 on emea",
        ),
        (
            Cause.NO_ADDRESS,
            [MONA, *OTHERS],
            account("emea:1", "mona-octocat"),
            Who.SERVER_ADMIN,
            "make mona.octocat@corp.example the primary address of account 1 on emea",
        ),
        (
            Cause.NO_LINKED_IDENTITY,
            [bare, *OTHERS],
            company,
            Who.IDENTITY_PROVIDER,
            "link the SAML identity of @monaoctocat (mona@corp.example)",
        ),
        (Cause.NO_VERIFIED_ADDRESS, [bare, *OTHERS], private, Who.PERSON, "let @monaoctocat verify mona@home.example"),
        (Cause.NO_VERIFIED_ADDRESS, [linked, *OTHERS], company, Who.PERSON, "let @monaoctocat verify mona@corp.example"),
    ]
    for cause, people, one, who, fix in cases:
        found = only(people, [one])
        assert (found.cause, found.who, found.fix) == (cause, who, fix)


def test_one_change_for_several_accounts_of_one_address() -> None:
    """Verifying the address once is less than changing it on every instance."""
    accounts = [account("emea:1", "mona-octocat", "mona@home.example"), account("apac:1", "moctocat", "Mona@home.example")]
    assert only([MONA, *OTHERS], accounts).fix == "let @monaoctocat verify Mona@home.example"


def test_an_invitation_to_somebody_who_is_there_already() -> None:
    """By the very address it is certain; by the name it is likely at least."""
    invited = person("mona.octocat@corp.example", "", in_cloud=False, total_accounts=0)
    found = only([MONA, invited, *OTHERS], [])
    assert (found.invitation, found.cloud_login, found.account) == ("mona.octocat@corp.example", "monaoctocat", "")
    assert (found.cause, found.who, found.tier) == (Cause.INVITATION, Who.CLOUD_OWNER, Tier.SURE)
    assert found.fix == "cancel the invitation to mona.octocat@corp.example: @monaoctocat is a member or collaborator already"
    invited = person("octocat.mona@home.example", "", in_cloud=False, total_accounts=0)
    found = only([MONA, invited, *OTHERS], [])
    assert (found.invitation, found.cloud_login, found.cause) == ("octocat.mona@home.example", "monaoctocat", Cause.INVITATION)


def test_a_visual_studio_subscription_that_nobody_is_matched_to() -> None:
    """The owner can match it by hand."""
    row = person("", "", visual_studio=True, visual_studio_email="monaoctocat@home.example")
    found = only([MONA, row, *OTHERS], [])
    assert (found.subscription, found.cause, found.who) == ("monaoctocat@home.example", Cause.VISUAL_STUDIO, Who.CLOUD_OWNER)
    assert found.fix == "match Visual Studio subscription monaoctocat@home.example to @monaoctocat"


def test_groups_are_by_cause_largest_first_with_their_cost() -> None:
    """Each group says people, seats, and cost if the price is known."""
    people = [MONA, *OTHERS, person("hedwig", "Hedwig Quist", "hedwig@corp.example"), person("quentin", "Quentin Zorro", "q@corp.example")]
    accounts = [
        account("emea:1", "mona-octocat", "monaoctocat@home.example"),
        account("apac:2", "hedwig-quist", "hedwigquist@home.example"),
        account("apac:3", "quentin-zorro"),
    ]
    found = duplicates(people, accounts).suggestions
    first, second = group(found, price=21.0)
    assert (first.cause, first.people, first.seats, first.sure, first.likely, first.cost) == (Cause.PRIVATE_ADDRESS, 2, 2, 2, 0, 42.0)
    assert (second.cause, second.seats) == (Cause.NO_ADDRESS, 1)
    assert [one.cost for one in group(found)] == [None, None]
    assert group([]) == ()


# ---------------------------------------------------------------- always the same


def test_the_same_input_gives_the_same_output_in_any_order() -> None:
    """Rows in another order, or instances read in another order, change nothing."""
    rng = random.Random(7)
    first, last = ["ann", "bob", "cleo", "dan", "eve"], ["archer", "baxter", "carver", "dexter", "fisher"]
    people = [person(f"{f[0]}{name}", f"{f} {name}", f"{f}.{name}@corp.example") for f in first for name in last]
    accounts = [
        account(
            f"{rng.choice(['emea', 'apac', 'amer'])}:{number}",
            rng.choice([f + name, f[0] + name, f]),
            f"{rng.choice([f, name])}{number}@home.example",
        )
        for number, (f, name) in enumerate((f, name) for f in first for name in last)
    ]
    expected = duplicates(people, accounts, instances=(*BOTH, AMER))
    assert expected.suggestions
    for seed in range(5):
        random.Random(seed).shuffle(people)
        random.Random(seed).shuffle(accounts)
        assert duplicates(people, accounts, instances=(AMER, *BOTH)) == expected


def test_hostile_names_neither_crash_nor_reach_the_sentences() -> None:
    """Control characters are cleaned, odd letters are names like any other."""
    people = [person("mona", "Mona\x1b[31m Octocat\u202e", "mona@corp.example"), person("x", "彭于斌"), person("", ""), person("y", "'\"(")]
    accounts = [
        account("emea:1", "mona-octocat\x1b[31m", "mona.octocat\x07@home.example"),
        account("apac:1", "", "@"),
        account("apac:2", "-", "a@b@c"),
    ]
    for one in duplicates(people, accounts).suggestions:
        text = " ".join((one.fix, *one.evidence))
        assert text.isprintable()
