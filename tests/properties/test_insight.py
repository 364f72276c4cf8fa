"""The forecast and the likely duplicates of any people and accounts: they add up, repeat themselves, and join nobody twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.duplicates import find_duplicates
from licsync_daemon.insight.forecast import forecast
from licsync_daemon.insight.values import Instance, Person, ServerAccount

INSTANCES = [Instance(name=name, hostname=f"{name}.example.com") for name in ("emea", "apac")]
WORDS = st.sampled_from(
    ["mona", "octocat", "hubot", "m", "o", "Mona", "ä", "彭于斌", "12", "-", ".", "_", "+x", "info", "svc", "\u202e", "\x1b[1m", ""]
)
TEXT = st.lists(WORDS, max_size=4).map("".join)
NAME = st.lists(WORDS, max_size=4).map(" ".join)
EMAIL = st.tuples(TEXT, st.sampled_from(["@corp.example", "@home.example", "@Octocat.example", "@", ""])).map("".join)
IDS = st.tuples(st.sampled_from(["emea.example.com", "APAC.example.com:443", "old.example.com"]), st.integers(1, 9).map(str))
PEOPLE = st.builds(
    Person,
    login=TEXT,
    name=NAME,
    saml_name_id=st.one_of(st.just(""), EMAIL),
    verified_emails=st.lists(EMAIL, max_size=2).map(tuple),
    server_ids=st.lists(IDS, max_size=3).map(tuple),
    server_emails=st.lists(EMAIL, max_size=2).map(tuple),
    in_cloud=st.sampled_from([True, False, None]),
    visual_studio_email=st.one_of(st.just(""), EMAIL),
    total_accounts=st.sampled_from([None, 0, 1]),
)
ACCOUNTS = st.builds(
    ServerAccount,
    instance=st.sampled_from(["emea", "apac"]),
    id=st.integers(1, 9).map(str),
    login=TEXT,
    email=EMAIL,
    name=st.one_of(st.just(""), NAME),
    suspended=st.booleans(),
)
LISTS = (
    st.lists(PEOPLE, max_size=8, unique_by=lambda one: one.login.casefold() or id(one)),
    st.lists(ACCOUNTS, max_size=12, unique_by=lambda one: one.key),
)


@given(*LISTS)
def test_every_table_adds_up(people: list[Person], accounts: list[ServerAccount]) -> None:
    """Whatever the input: the last line is the sum of the others, and nothing stays unexplained when GitHub states its own rows."""
    found = forecast(Cloud(people, instances=INSTANCES), accounts)
    for lines in (found.accounts, found.people, found.seats, found.difference):
        if lines:
            assert sum(line.number for line in lines[:-1]) == lines[-1].number
    assert {line.code: line.number for line in found.difference}.get("unexplained", 0) == 0
    assert found.low <= found.high == found.seats[-1].number
    assert sum(one.accounts for one in found.instances) == found.accounts[-1].number >= len(accounts)


@settings(max_examples=300)
@given(*LISTS, st.randoms(use_true_random=False))
def test_suggestions_are_consistent_and_repeat(people: list[Person], accounts: list[ServerAccount], rng: object) -> None:
    """An account is one cloud person at most, ends exist, sentences print, and another order of rows gives the same."""
    cloud = Cloud(people, instances=INSTANCES)
    found = find_duplicates(cloud, people, accounts)
    logins, keys = {one.login for one in people}, {one.key for one in accounts}
    claimed = [one.account for one in found.suggestions if one.account and one.cloud_login]
    assert len(claimed) == len(set(claimed))
    for one in found.suggestions:
        assert 0 < one.score <= 1
        assert one.cloud_login in logins or one.account2
        assert not one.account or one.account in keys or one.account.startswith("old.example.com") or ".example.com" in one.account
        assert " ".join((one.fix, *one.evidence)).isprintable()
    rng.shuffle(people)  # type: ignore[attr-defined]
    rng.shuffle(accounts)  # type: ignore[attr-defined]
    assert find_duplicates(Cloud(people, instances=INSTANCES), people, accounts) == found
