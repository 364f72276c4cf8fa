"""The published de-duplication rule, as a table."""

from licsync_daemon.practice.sandbox.fleet import Member
from licsync_daemon.practice.sandbox.seats import ServerAccount, assign_seats, primary_address


def member(login, *emails, saml=None):
    return Member(login, login.title(), emails, saml, ("octo-org:Member",), two_factor=True)


def account(number, primary, host="a.example.com"):
    return ServerAccount(host, number, primary)


ANN = member("ann", "ann@example.com", "ann@home.example")
BOB = member("bob", "bob@example.com", saml="shared@example.com")
CAT = member("cat", "cat@example.com", "Shared@Example.com")


def test_the_number_of_seats(subtests):
    for case, members, accounts, seats in (
        ("empty", [], [], 0),
        ("members alone", [ANN, BOB], [], 2),
        ("verified address matches", [ANN], [account(1, "ann@example.com")], 1),
        ("any verified address matches, on whatever domain", [ANN], [account(1, "ann@home.example")], 1),
        ("SAML NameID matches", [BOB], [account(1, "shared@example.com")], 1),
        ("a person with server accounts only", [ANN], [account(1, "eve@example.com")], 2),
        ("row 6: accounts without an address cost one each", [ANN], [account(1, ""), account(2, "")], 3),
        ("row 8: case does not matter", [ANN], [account(1, "ANN@Example.COM")], 1),
        ("row 8: casefolded, not only lower-cased", [], [account(1, "Straße@example.com"), account(2, "STRASSE@example.com")], 1),
        ("row 9: one address on two instances", [], [account(1, "eve@example.com"), account(9, "eve@example.com", "b.example.com")], 1),
        ("row 9: one address twice on an instance", [], [account(1, "eve@example.com"), account(2, "eve@example.com")], 1),
        ("row 10: two members claim one account", [BOB, CAT], [account(1, "shared@example.com")], 2),
        ("plus tags are different addresses", [], [account(1, "eve+a@example.com"), account(2, "eve@example.com")], 2),
        ("an empty NameID claims nothing", [member("dan", saml="")], [account(1, "")], 2),
    ):
        with subtests.test(case):
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


def test_the_primary_address(subtests):
    for case, emails, primary in (
        ("row 6: none", [], ""),
        ("row 6: none is primary", [{"email": "a@x", "primary": False}], ""),
        ("the marked one", [{"email": "a@x", "primary": False}, {"email": "b@x", "primary": True}], "b@x"),
        ("row 7: several primaries", [{"email": "a@x", "primary": True}, {"email": "b@x", "primary": True}], "a@x"),
        ("row 7: one address twice", [{"email": "a@x", "primary": True}, {"email": "a@x", "primary": True}], "a@x"),
    ):
        with subtests.test(case):
            assert primary == primary_address({"id": 1, "emails": emails})
