"""From evidence to suggestions: rivals, allies, ties, and matches that hold together."""

from dataclasses import replace

from licsync_daemon.insight.decide import LIKELY, SURE, Match, decide
from licsync_daemon.insight.evidence import Values
from licsync_daemon.insight.seats import DECOY, Seat
from licsync_daemon.insight.weights import Sign

STRONG: Values = {Sign.WHOLE: 1.0, Sign.SAME: 1.0, Sign.LETTERS: 1.2}
WEAK: Values = {Sign.INITIAL: 1.0, Sign.LETTERS: 0.5}


def server(key: str, bit: int = 1) -> Seat:
    return Seat(key, is_cloud=False, accounts=((bit, key, ""),), instances=bit)


def cloud(login: str) -> Seat:
    return Seat(f"@{login}", is_cloud=True)


def ends(matches: list[Match]) -> list[tuple[str, str]]:
    return [(one.one.id, one.other.id) for one in matches]


def test_two_cloud_people_are_never_joined_by_accounts_between_them() -> None:
    """Two accounts that resemble each other belong to two cloud people: the third match would make those one."""
    one, two = server("emea:1"), server("apac:1", 2)
    found = decide(
        [(one, cloud("mona"), STRONG | {Sign.LETTERS: 1.3}), (two, cloud("hubot"), STRONG | {Sign.LETTERS: 1.3}), (one, two, STRONG)], 10
    )
    assert ends(found) == [("apac:1", "@hubot"), ("emea:1", "@mona")]


def test_what_follows_from_better_matches_is_not_repeated() -> None:
    """Two accounts of one cloud person need no suggestion of their own."""
    one, two, mona = server("emea:1"), server("apac:1", 2), cloud("mona")
    assert ends(decide([(one, mona, STRONG), (two, mona, STRONG), (one, two, STRONG)], 10)) in (
        [("apac:1", "@mona"), ("emea:1", "@mona")],
        [("apac:1", "@mona"), ("emea:1", "apac:1")],
        [("emea:1", "@mona"), ("emea:1", "apac:1")],
    )


def test_a_weaker_rival_lowers_the_probability_and_an_equal_one_ends_it() -> None:
    """On either side: two people for one account, or two accounts of one instance for one person."""
    one, mona = server("emea:1"), cloud("mona")
    for other in ((one, cloud("hubot")), (server("emea:2"), mona)):
        alone = decide([(one, mona, STRONG)], 10)[0].probability
        rivaled = decide([(one, mona, STRONG), (*other, WEAK)], 10)
        assert rivaled[0].probability < alone
        assert (rivaled[0].one.id, rivaled[0].other.id) == ("emea:1", "@mona")
        assert decide([(one, mona, STRONG), (*other, STRONG)], 10) == []


def test_accounts_on_other_instances_are_no_rivals() -> None:
    """A person may have an account on each."""
    mona = cloud("mona")
    assert len(decide([(server("emea:1"), mona, STRONG), (server("apac:1", 2), mona, STRONG)], 10)) == 2


def test_three_seats_that_resemble_each_other_are_one_person() -> None:
    """Allies, not rivals; two suggestions join the three."""
    a, b, c = server("emea:1", 1), server("apac:1", 2), server("amer:1", 4)
    assert len(decide([(a, b, STRONG), (a, c, STRONG), (b, c, STRONG)], 10)) == 2


def test_a_fleet_full_of_duplicates_makes_each_likelier() -> None:
    """The fleet's own share moves the odds, damped."""
    few = decide([(server("emea:0"), cloud("a0"), WEAK)], 200)
    many = decide([(server(f"emea:{n}"), cloud(f"a{n}"), WEAK) for n in range(200)], 200)
    assert many[0].probability > (few[0].probability if few else LIKELY)
    assert all(LIKELY <= one.probability <= 1 for one in many)
    assert LIKELY < SURE


def test_nothing_comes_of_nothing() -> None:
    """No pairs, no seats."""
    assert decide([], 0) == []


def test_chance_hits_make_every_match_less_likely() -> None:
    """Attributed accounts that fit somebody else, too, show how much chance alone gives in this fleet."""
    pairs = [(server(f"emea:{n}"), cloud(f"a{n}"), STRONG) for n in range(20)]
    decoys = [(replace(server(f"apac:{n}", 2), row=DECOY), cloud(f"b{n}"), STRONG) for n in range(10)]
    without, with_chance = decide(pairs, 40, 10), decide([*pairs, *decoys], 40, 10)
    assert with_chance[0].probability < without[0].probability
    assert {one.one.row for one in with_chance} == {""}  # a decoy is never suggested
