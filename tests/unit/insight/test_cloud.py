"""The state of one account, by the published rule."""

import pytest

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.results import Judgement, Reason, State
from licsync_daemon.insight.values import Kind, Person, ServerAccount
from tests.unit.insight.values import BOTH, EMEA, account, person

MONA = person(
    "mona", "Mona Octocat", "mona@corp.example", saml_name_id="m.octocat@id.example", ids=["emea:7"], server_emails=("m@old.example",)
)
HUBOT = person("hubot", "Hubot", "hubot@corp.example")
HIDDEN = person("hidden", "Shows Nothing")


@pytest.mark.parametrize(
    ("one", "state", "reason"),
    [
        (account("emea:7", "anything", "else@home.example"), State.MATCHED, Reason.ATTRIBUTED),
        (account("emea:8", "m", "M.Octocat@ID.example"), State.MATCHED, Reason.NAME_ID),
        (account("emea:8", "m", " MONA@corp.EXAMPLE "), State.MATCHED, Reason.VERIFIED_EMAIL),
        (account("apac:1", "m", "m@old.example"), State.MATCHED, Reason.SERVER_EMAIL),
        (account("emea:9", "x", "x@corp.example"), State.SERVER_ONLY, Reason.VERIFIED_DOMAIN),
        (account("emea:9", "x", "x@sub.corp.example"), State.SERVER_ONLY, Reason.ALL_ADDRESSES_SHOWN),
        (account("emea:9", "x", ""), State.SERVER_ONLY, Reason.NO_ADDRESS),
        (account("emea:7", "mona", "mona@corp.example", suspended=True), State.NOT_COUNTED, Reason.SUSPENDED),
        (account("emea:2", "Ghost", ""), State.NOT_COUNTED, Reason.GHOST),
        (account("emea:3", "new", "new@corp.example", never_signed_in=True), State.NOT_COUNTED, Reason.NEVER_SIGNED_IN),
        (account("emea:3", "new", "new@corp.example", never_signed_in=False), State.SERVER_ONLY, Reason.VERIFIED_DOMAIN),
        (account("emea:4", "idle", "hubot@corp.example", dormant=True), State.MATCHED, Reason.VERIFIED_EMAIL),
    ],
)
def test_every_account_has_one_state_and_its_reason(one: ServerAccount, state: State, reason: Reason) -> None:
    """GitHub's own attribution wins, then the linked identity, then verified addresses; case and spaces make no difference."""
    found = Cloud([MONA, HUBOT], instances=BOTH).judge(one)
    assert (found.state, found.reason) == (state, reason)


def test_an_address_that_nobody_could_show_is_unknowable() -> None:
    """While some cloud person shows no address, only an address on a verified domain is surely nobody's."""
    cloud = Cloud([MONA, HIDDEN], instances=BOTH)
    assert cloud.judge(account("emea:9", "x", "x@home.example")) == Judgement(State.UNKNOWABLE, Reason.HIDDEN_ADDRESS)
    assert cloud.judge(account("emea:9", "x", "")).state is State.UNKNOWABLE
    assert cloud.judge(account("emea:9", "x", "x@corp.example")).state is State.SERVER_ONLY


def test_a_name_id_that_is_no_address_shows_none() -> None:
    """A person with the NameID `monalisa` may hide any address; the NameID itself still matches."""
    cloud = Cloud([person("mona", "Mona", saml_name_id="monalisa")], instances=BOTH)
    assert cloud.judge(account("emea:9", "x", "x@home.example")).state is State.UNKNOWABLE


def test_an_address_of_several_people_is_ambiguous_and_never_guessed() -> None:
    """All who claim it are named, in order; GitHub's own attribution settles it."""
    people = [
        person("zoe", "Z", "team@corp.example"),
        person("adam", "A", saml_name_id="TEAM@corp.example"),
        person("eve", "E", ids=["emea:5"]),
    ]
    cloud = Cloud([*people, person("dora", "D", "team@corp.example")], instances=BOTH)
    assert cloud.judge(account("emea:1", "t", "Team@Corp.example")) == Judgement(
        State.AMBIGUOUS, Reason.SEVERAL_PEOPLE, ("adam", "dora", "zoe")
    )
    assert cloud.judge(account("emea:5", "t", "team@corp.example")) == Judgement(State.MATCHED, Reason.ATTRIBUTED, ("eve",))


def test_an_account_listed_with_two_people_is_ambiguous() -> None:
    """GitHub's list names its id twice; a server-only row beside one cloud person is an older one and loses."""
    zoe, adam, alone = person("zoe", "Z", ids=["emea:5"]), person("adam", "A", ids=["emea:5"]), person("", "", ids=["emea:5"])
    assert Cloud([zoe, adam], instances=BOTH).judge(account("emea:5")) == Judgement(State.AMBIGUOUS, Reason.SEVERAL_PEOPLE, ("adam", "zoe"))
    for people in ([zoe, alone], [alone, zoe]):
        assert Cloud(people, instances=BOTH).judge(account("emea:5")).logins == ("zoe",)


def test_two_claims_of_one_person_are_one_person() -> None:
    """A NameID that is also the verified address is not ambiguous."""
    cloud = Cloud([person("mona", "Mona", "mona@corp.example", saml_name_id="mona@corp.example")], instances=BOTH)
    assert cloud.judge(account("emea:1", "m", "mona@corp.example")) == Judgement(State.MATCHED, Reason.NAME_ID, ("mona",))


def test_hosts_are_compared_as_github_writes_them() -> None:
    """Another case, a port, or a final dot is the same host; another instance's number is not."""
    for host in ("GHES-EMEA.example.com", "ghes-emea.example.com:8443", "ghes-emea.example.com."):
        cloud = Cloud([person("mona", "Mona", ids=[f"{host}:7"])], instances=BOTH)
        assert cloud.judge(account("emea:7", "m")).state is State.MATCHED
        assert cloud.judge(account("apac:7", "m")).state is State.UNKNOWABLE


def test_a_server_only_row_attributes_nobody() -> None:
    """GitHub lists the account without a cloud person; if its address is one's by now, the next sync will join them."""
    cloud = Cloud([person("", "", ids=["emea:5"], server_emails=("mona@corp.example",)), MONA], instances=BOTH)
    assert cloud.judge(account("emea:5", "m", "x@corp.example")).state is State.SERVER_ONLY
    assert cloud.judge(account("emea:5", "m", "mona@corp.example")).logins == ("mona",)


def test_verified_domains_are_configured_or_seen_in_either_script() -> None:
    """An international domain may be written in Unicode or in ASCII."""
    cloud = Cloud([HIDDEN], instances=[EMEA], domains=["Bücher.example"])
    assert cloud.judge(account("emea:1", "x", "x@xn--bcher-kva.example")).reason is Reason.VERIFIED_DOMAIN
    assert cloud.judge(account("emea:1", "x", "x@BÜCHER.example")).reason is Reason.VERIFIED_DOMAIN


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (person("mona", "Mona"), Kind.CLOUD),
        (person("mona", "Mona", ids=["emea:1"]), Kind.BOTH),
        (person("mona", "Mona", on_servers=True), Kind.BOTH),
        (person("", "", ids=["emea:1"]), Kind.SERVER),
        (person("", "", on_servers=True), Kind.SERVER),
        (person("new@corp.example", "", in_cloud=False, total_accounts=0), Kind.INVITED),
        (person("new@corp.example", "", in_cloud=None), Kind.INVITED),
        (person("newbie", "", in_cloud=False, total_accounts=0), Kind.INVITED),
        (person("", "", visual_studio=True, visual_studio_email="m@corp.example"), Kind.VISUAL_STUDIO),
        (person("mona", "Mona", visual_studio=True, visual_studio_email="m@corp.example"), Kind.CLOUD),
        (person("", "", ids=["emea:1"], visual_studio=True, visual_studio_email="m@corp.example"), Kind.SERVER),
    ],
)
def test_every_row_of_the_consumed_licenses_has_a_kind(one: Person, kind: Kind) -> None:
    """Invitations have an address for a login; a subscription without an account takes no seat."""
    assert one.kind is kind
