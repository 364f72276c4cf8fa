"""The published de-duplication rule, as a table."""

import pytest

from licsync_daemon.practice.sandbox.fleet import Member
from licsync_daemon.practice.sandbox.seats import ServerAccount, assign_seats, primary_address


def member(login, *emails, saml=None):
    return Member(login, login.title(), emails, saml, ("octo-org:Member",), two_factor=True)


def account(number, primary, host="a.example.com"):
    return ServerAccount(host, number, primary)


ANN = member("ann", "ann@example.com", "ann@home.example")
BOB = member("bob", "bob@example.com", saml="shared@example.com")
CAT = member("cat", "cat@example.com", "Shared@Example.com")


@pytest.mark.parametrize(
    ("members", "accounts", "seats"),
    [
        pytest.param([], [], 0, id="empty"),
        pytest.param([ANN, BOB], [], 2, id="members alone"),
        pytest.param([ANN], [account(1, "ann@example.com")], 1, id="verified address matches"),
        pytest.param([ANN], [account(1, "ann@home.example")], 1, id="any verified address matches, on whatever domain"),
        pytest.param([BOB], [account(1, "shared@example.com")], 1, id="SAML NameID matches"),
        pytest.param([ANN], [account(1, "eve@example.com")], 2, id="a person with server accounts only"),
        pytest.param([ANN], [account(1, ""), account(2, "")], 3, id="row 6: accounts without an address cost one each"),
        pytest.param([ANN], [account(1, "ANN@Example.COM")], 1, id="row 8: case does not matter"),
        pytest.param(
            [], [account(1, "Straße@example.com"), account(2, "STRASSE@example.com")], 1, id="row 8: casefolded, not only lower-cased"
        ),
        pytest.param(
            [], [account(1, "eve@example.com"), account(9, "eve@example.com", "b.example.com")], 1, id="row 9: one address on two instances"
        ),
        pytest.param([], [account(1, "eve@example.com"), account(2, "eve@example.com")], 1, id="row 9: one address twice on an instance"),
        pytest.param([BOB, CAT], [account(1, "shared@example.com")], 2, id="row 10: two members claim one account"),
        pytest.param([], [account(1, "eve+a@example.com"), account(2, "eve@example.com")], 2, id="plus tags are different addresses"),
        pytest.param([member("dan", saml="")], [account(1, "")], 2, id="an empty NameID claims nothing"),
    ],
)
def test_it_counts(members, accounts, seats):
    assert seats == len(assign_seats(members, accounts))


def test_an_ambiguous_account_goes_to_the_first_login_in_order():
    seats = assign_seats([CAT, BOB], [account(1, "shared@example.com")])

    assert [(seat.member.login, len(seat.accounts)) for seat in seats] == [("bob", 1), ("cat", 0)]


def test_every_account_has_exactly_one_seat_and_members_come_first():
    accounts = [
        account(n, address) for n, address in enumerate(["", "x@example.com", "ann@example.com", "X@example.com", "shared@example.com"])
    ]

    seats = assign_seats([ANN, BOB], accounts)

    assert sorted(a.id for seat in seats for a in seat.accounts) == [0, 1, 2, 3, 4]
    assert [seat.member is not None for seat in seats] == [True, True, False, False]


@pytest.mark.parametrize(
    ("emails", "primary"),
    [
        pytest.param([], "", id="row 6: none"),
        pytest.param([{"email": "a@x", "primary": False}], "", id="row 6: none is primary"),
        pytest.param([{"email": "a@x", "primary": False}, {"email": "b@x", "primary": True}], "b@x", id="the marked one"),
        pytest.param([{"email": "a@x", "primary": True}, {"email": "b@x", "primary": True}], "a@x", id="row 7: several primaries"),
        pytest.param([{"email": "a@x", "primary": True}, {"email": "a@x", "primary": True}], "a@x", id="row 7: one address twice"),
    ],
)
def test_the_primary_address(emails, primary):
    assert primary == primary_address({"id": 1, "emails": emails})
