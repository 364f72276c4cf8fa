"""The cloud's responses, by row of the table of edge data (ref 5), and the published examples."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.cloud.decode import MAX_SERVERS, decode_consumed_page, decode_sync_status
from licsync_daemon.model.decode import read_date
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.usage import Person, SeatTotals, ServerIdentity, SyncEntry, Upload, UploadState
from licsync_daemon.rules.verdict import Confirmed, Waiting, baseline_of, entry_of, judge, server_id_of
from tests.fakes import T0, a_delivery, a_status, an_entry

SAMPLES = Path(__file__).parents[2] / "samples" / "openapi"


def published(path: str) -> Any:
    """Return the published example of an operation's reply."""
    document = json.loads((SAMPLES / "ghec-licensing.json").read_text())
    return document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["examples"]["default"]["value"]


STATUS_EXAMPLE = published("/enterprises/{enterprise}/license-sync-status")
LICENSES_EXAMPLE = published("/enterprises/{enterprise}/consumed-licenses")


def person(**fields: Any) -> Person:
    (found,) = decode_consumed_page({"users": [fields]})[1]
    return found


def entry(**fields: Any) -> SyncEntry:
    (found,) = decode_sync_status({"server_instances": [fields]}, T0).entries
    return found


def test_the_published_sync_status() -> None:
    """The published example reads as two servers that were synced."""
    status = decode_sync_status(STATUS_EXAMPLE, T0)
    date = datetime(2020, 1, 1, tzinfo=UTC)
    assert status.entries == (
        SyncEntry(server_id="deadbeef1", hostname="github.example.com", date=date, status="success", error=None),
        SyncEntry(server_id="filetoffish1", hostname="github2.example.com", date=date, status="success", error=None),
    )
    assert status.answered_at == T0


def test_the_published_consumed_licenses() -> None:
    """The published example reads as its totals and its two people."""
    totals, people = decode_consumed_page(LICENSES_EXAMPLE)
    assert totals == SeatTotals(consumed=5000, purchased=4500)
    assert people == (
        Person(
            login="monalisa",
            saml_name_id="monalisa",
            server_accounts=(("example_host_name.com", "123"), ("example_host_name_2", "222")),
            server_emails=("monalisa@github.com",),
            verified_emails=("monalisa@github.com",),
            license_type="enterprise",
            total_accounts=3,
        ),
        Person(
            login="",
            saml_name_id="",
            server_accounts=(("example_host_name", "123"),),
            server_emails=("hubot@example.com",),
            verified_emails=(),
            license_type="enterprise",
            total_accounts=1,
        ),
    )


EMPTY = Person(login="", saml_name_id="", server_accounts=(), server_emails=(), verified_emails=(), license_type="", total_accounts=None)


def test_row_01_empty_text_for_login_and_saml_id() -> None:
    """A person known only from servers has empty text in every cloud field."""
    found = person(github_com_login="", github_com_name="", github_com_profile="", github_com_saml_name_id="")
    assert found == EMPTY


def test_row_02_empty_text_or_null_where_a_boolean_belongs(subtests: pytest.Subtests) -> None:
    """A row is read whatever the value of a boolean field."""
    for value in ("", None, True, "true", 0):
        with subtests.test(value=value):
            fields = ("github_com_two_factor_auth", "enterprise_server_user", "github_com_user", "visual_studio_subscription_user")
            assert person(**dict.fromkeys(fields, value), github_com_login="mona").login == "mona"
            assert person(github_com_login=None, github_com_saml_name_id=None) == EMPTY


@pytest.mark.parametrize("missing", sorted(LICENSES_EXAMPLE["users"][0]))
def test_row_03_any_field_may_be_absent(missing: str) -> None:
    """Nothing is required: a row without any one of its fields is read."""
    fields = {key: value for key, value in LICENSES_EXAMPLE["users"][0].items() if key != missing}
    assert isinstance(person(**fields), Person)


def test_row_03_unknown_fields_and_empty_objects() -> None:
    """Unknown fields are ignored, and an object may be empty."""
    assert person() == EMPTY
    assert person(license_color="red", nested={"a": [1]}) == EMPTY
    assert decode_consumed_page({}) == (SeatTotals(consumed=None, purchased=None), ())
    assert entry() == SyncEntry(server_id=None, hostname=None, date=None, status=None, error=None)
    assert entry(server_id="s", color="red").server_id == "s"


def test_row_04_one_of_two_names_for_the_server_emails(subtests: pytest.Subtests) -> None:
    """The addresses are found under either name."""
    for name, (fields, emails) in {
        "the schema's": ({"enterprise_server_emails": ["a@example.com"]}, ("a@example.com",)),
        "the older": ({"enterprise_server_primary_emails": ["b@example.com"]}, ("b@example.com",)),
        "the schema's is empty": (
            {"enterprise_server_emails": [], "enterprise_server_primary_emails": ["b@example.com"]},
            ("b@example.com",),
        ),
        "both": (
            {"enterprise_server_emails": ["a@example.com"], "enterprise_server_primary_emails": ["b@example.com"]},
            ("a@example.com",),
        ),
        "neither": ({"enterprise_server_emails": None, "enterprise_server_primary_emails": None}, ()),
    }.items():
        with subtests.test(name):
            assert person(**fields).server_emails == emails


def test_row_05_empty_email_lists(subtests: pytest.Subtests) -> None:
    """No address is no fault, however it is written."""
    for value in ([], None, "", {}, [""], [None]):
        with subtests.test(value=value):
            found = person(enterprise_server_emails=value, github_com_verified_domain_emails=value)
            assert (found.server_emails, found.verified_emails) == ((), ())


def test_row_06_no_primary_address_at_all() -> None:
    """A server account without an address is a person all the same."""
    found = person(enterprise_server_user_ids=["ghes.example.com:7"], enterprise_server_emails=[], total_user_accounts=1)
    assert (found.server_accounts, found.server_emails, found.total_accounts) == ((("ghes.example.com", "7"),), (), 1)


def test_row_07_the_same_address_twice() -> None:
    """Several addresses and repeated ones stay as they are."""
    emails = ["a@example.com", "a@example.com", "b@example.com"]
    assert person(enterprise_server_emails=emails).server_emails == tuple(emails)


def test_row_08_addresses_equal_but_for_case() -> None:
    """Addresses are reported as they are written."""
    assert person(enterprise_server_emails=["Mona@Example.com", "mona@example.com"]).server_emails == (
        "Mona@Example.com",
        "mona@example.com",
    )


def test_row_09_one_person_on_several_instances() -> None:
    """Every server account of a person is kept."""
    found = person(enterprise_server_user_ids=["a.example.com:1", "b.example.com:1", "b.example.com:2"], total_user_accounts=3)
    assert found.server_accounts == (("a.example.com", "1"), ("b.example.com", "1"), ("b.example.com", "2"))


def test_row_11_names_and_domains_beyond_ascii() -> None:
    """Any alphabet is read as it is written."""
    found = person(github_com_login="mona", github_com_name="Мона Лиза", enterprise_server_emails=["mona@münchen.example"])
    assert found.server_emails == ("mona@münchen.example",)


def test_row_12_logins_keep_their_case_and_shortcode(subtests: pytest.Subtests) -> None:
    """Logins are kept as they are written."""
    for login in ("Mona-Lisa", "m" * 39, "mona_octo", "1"):
        with subtests.test(login=login):
            assert person(github_com_login=login).login == login


def test_row_14_addresses_over_100_characters() -> None:
    """An address of any length is kept whole."""
    address = "m" * 300 + "@example.com"
    assert person(enterprise_server_emails=[address]).server_emails == (address,)


def test_row_16_huge_counts() -> None:
    """Totals beyond 32 bits and a page of many people are read."""
    totals, people = decode_consumed_page({"total_seats_consumed": 2**40, "total_seats_purchased": 10**6, "users": [{}] * 10_000})
    assert totals == SeatTotals(consumed=2**40, purchased=10**6)
    assert len(people) == 10_000


def test_row_17_user_ids_beyond_32_bits() -> None:
    """The id stays text, whatever its size."""
    assert person(enterprise_server_user_ids=[f"ghes.example.com:{2**80}"]).server_accounts == (("ghes.example.com", str(2**80)),)


def test_row_20_dates_in_several_forms(subtests: pytest.Subtests) -> None:
    """ISO dates with any offset and epoch milliseconds are read as UTC; anything else is no date."""
    for value, moment in (
        ("2026-11-24T02:00:00Z", T0),
        ("2026-11-24T02:00:00.000Z", T0),
        ("2026-11-24T03:00:00+01:00", T0),
        ("2026-11-24T02:00:00", T0),
        (" 2026-11-24T02:00:00Z ", T0),
        (int(T0.timestamp() * 1000), T0),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2016/02/06 12:41:52 -0600", datetime(2016, 2, 6, 18, 41, 52, tzinfo=UTC)),
        ("2016/02/06", datetime(2016, 2, 6, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
        (True, None),
        (1e300, None),
        (10**30, None),
        (-(10**30), None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ({}, None),
    ):
        with subtests.test(value=value, moment=moment):
            assert read_date(value) == moment


def test_row_22_consumed_above_purchased(subtests: pytest.Subtests) -> None:
    """Totals from 0 to 2^53 are taken as they are; others count as not reported, and are quoted."""
    for name, (consumed, purchased, read, unusable) in {
        "above": (5000, 4500, 5000, ()),
        "none": (0, 0, 0, ()),
        "negative": (-1, 10, None, ("total_seats_consumed: -1",)),
        "beyond 2^53": (2**53 + 1, 1, None, (f"total_seats_consumed: {2**53 + 1}",)),
        "beyond 64 bits": (10**40, 1, None, ("total_seats_consumed: a number of more than 30 digits",)),
        "text": ("7", 10, 7, ()),
    }.items():
        with subtests.test(name):
            found, _ = decode_consumed_page({"total_seats_consumed": consumed, "total_seats_purchased": purchased})
            assert found == SeatTotals(consumed=read, purchased=purchased, unusable=unusable)


def test_row_22_totals_that_are_no_numbers(subtests: pytest.Subtests) -> None:
    """A total that is no number is unknown, not zero."""
    for value in (None, "", "many", True, 1.5, [], {}):
        with subtests.test(value=value):
            assert decode_consumed_page({"total_seats_consumed": value})[0].consumed is None


def test_row_24_host_and_id(subtests: pytest.Subtests) -> None:
    """The id is what follows the last colon; the host may have a port, other case, or underscores."""
    for text, account in (
        ("ghes.example.com:7", ("ghes.example.com", "7")),
        ("GHES.Example.com:7", ("ghes.example.com", "7")),
        ("ghes.example.com:8443:7", ("ghes.example.com:8443", "7")),
        ("example_host_name_2:222", ("example_host_name_2", "222")),
        ("[::1]:443:7", ("[::1]:443", "7")),
        ("7", ("", "7")),
        ("ghes.example.com:", ("ghes.example.com", "")),
    ):
        with subtests.test(text=text, account=account):
            assert person(enterprise_server_user_ids=[text]).server_accounts == (account,)


def test_row_25_a_renamed_host_with_the_same_server_id() -> None:
    """The server ID is the identity: a row under an old name still matches."""
    status = decode_sync_status({"server_instances": [{"server_id": "server-emea", "hostname": "old.example.com"}]}, T0)
    assert entry_of(ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea"), status) == status.entries[0]


def test_row_26_the_same_host_with_a_new_server_id() -> None:
    """A reinstalled server is another server: its row does not match, and without a configured id nothing is guessed."""
    status = a_status(an_entry(server_id="new"))
    assert entry_of(ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea"), status) is None
    with pytest.raises(RunError) as refused:
        server_id_of(ServerIdentity(hostname="ghes-emea.example.com", server_id=None), a_status(an_entry(), an_entry(server_id="new")))
    assert refused.value.code is Code.SERVER_ID_AMBIGUOUS


def test_row_28_never_synced_in_many_spellings(subtests: pytest.Subtests) -> None:
    """Absent, null, an empty object and nonsense all mean that the server was never synced."""
    for sync in (None, {}, "", [], "never", {"date": None, "status": None, "error": None}, {"date": ""}):
        with subtests.test(sync=sync):
            found = entry(server_id="s", hostname="h", last_sync=sync)
            assert found == SyncEntry(server_id="s", hostname="h", date=None, status=None, error=None)
            assert entry(server_id="s", hostname="h") == found


def test_row_28_unknown_status_words(subtests: pytest.Subtests) -> None:
    """A status is compared in lower case, and an unknown one is kept."""
    for status, read in (
        ("success", "success"),
        ("SUCCESS", "success"),
        (" Success ", "success"),
        ("processing", "processing"),
        ("", None),
        (None, None),
        (1, "1"),
        ([], "a list"),
    ):
        with subtests.test(status=status, read=read):
            found = entry(server_id="server-emea", last_sync={"date": "2026-11-24T02:00:00Z", "status": status})
            assert found.status == read
            verdict = judge(a_delivery(), Upload(state=UploadState.SUCCESS), a_status(found))
            assert isinstance(verdict, Confirmed if read == "success" else Waiting)


def test_row_28_a_date_in_the_future() -> None:
    """A date ahead of the reply's own is kept; the baseline then says that they cannot be compared."""
    future = (T0 + timedelta(days=1)).isoformat()
    status = decode_sync_status({"server_instances": [{"server_id": "server-emea", "last_sync": {"date": future}}]}, T0)
    assert baseline_of(ServerIdentity(hostname="x", server_id="server-emea"), status).date == T0 + timedelta(days=1)


def test_row_28_errors_are_cleaned() -> None:
    """The error's words are safe to show: one line, no address; an empty one is none."""
    assert entry(last_sync={"error": "line\nwith mona@example.com"}).error == "line with [address]"
    assert entry(last_sync={"error": ""}).error is None
    assert entry(last_sync={"error": None}).error is None


def test_row_29_servers_that_are_not_configured_here() -> None:
    """Servers that are not configured do not hide the others, and one the cloud does not list has no entry."""
    status = a_status(an_entry(server_id="orphan", hostname="orphan.example.com"), an_entry())
    assert entry_of(ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea"), status) == an_entry()
    assert entry_of(ServerIdentity(hostname="missing.example.com", server_id="missing"), status) is None


def test_row_34_people_are_told_apart_by_no_single_field() -> None:
    """Two rows are the same person only if login, server accounts and addresses are."""
    one = person(github_com_login="mona", enterprise_server_user_ids=["a:1"])
    assert one.key == person(github_com_login="mona", enterprise_server_user_ids=["a:1"], total_user_accounts=9).key
    others = [
        person(github_com_login="lisa", enterprise_server_user_ids=["a:1"]),
        person(github_com_login="mona", enterprise_server_user_ids=["a:2"]),
        person(github_com_login="mona", enterprise_server_user_ids=["a:1"], enterprise_server_emails=["x@example.com"]),
    ]
    assert len({one.key, *(other.key for other in others)}) == 4


def test_row_39_a_name_id_need_not_be_an_address(subtests: pytest.Subtests) -> None:
    """The SAML name id is kept as it is written."""
    for name_id in ("monalisa", "mona@example.com", "S-1-5-21", "", " x "):
        with subtests.test(name_id=name_id):
            assert person(github_com_saml_name_id=name_id).saml_name_id == name_id


def test_row_40_license_types_in_two_spellings(subtests: pytest.Subtests) -> None:
    """Types are compared without case; a blank one is blank, whatever the Visual Studio status says."""
    for written, read in (
        ("enterprise", "enterprise"),
        ("Enterprise", "enterprise"),
        ("Visual Studio subscription", "visual studio subscription"),
        ("", ""),
        (None, ""),
    ):
        with subtests.test(written=written, read=read):
            for status in ("Matched", "MATCHED", "Pending Invitation", "", None):
                assert person(license_type=written, visual_studio_license_status=status).license_type == read


def test_no_list_of_servers_is_an_error(subtests: pytest.Subtests) -> None:
    """A body of another kind never counts as "no server was ever synced"."""
    for data in (None, [], "", 1, {}, {"server_instances": None}, {"server_instances": {}}, {"message": "Not Found"}):
        with subtests.test(data=data):
            with pytest.raises(RemoteError) as refused:
                decode_sync_status(data, T0)
            assert refused.value.code is Code.BAD_RESPONSE


def test_a_json_schema_instead_of_data_is_named() -> None:
    """A JSON schema, which a well-known client once modeled, is distinguished from data."""
    schema = {"title": "License Sync Status", "properties": {"server_instances": {"type": "array"}}}
    with pytest.raises(RemoteError, match="JSON schema instead of data"):
        decode_sync_status(schema, T0)


def test_no_list_of_users_is_an_error(subtests: pytest.Subtests) -> None:
    """A body of another kind is an error, not an empty page."""
    for data in (None, [], "", {"users": None}, {"users": {}}, {"users": "x"}):
        with subtests.test(data=data):
            with pytest.raises(RemoteError) as refused:
                decode_consumed_page(data)
            assert refused.value.code is Code.BAD_RESPONSE


def test_rows_that_are_no_objects_are_passed_over() -> None:
    """A list may hold anything; what can be read is read."""
    assert len(decode_sync_status({"server_instances": [None, 1, "x", [], {"server_id": "s"}]}, None).entries) == 1
    assert len(decode_consumed_page({"users": [None, 1, "x", [], {}]})[1]) == 1


def test_too_many_listed_servers_are_an_error() -> None:
    """10,000 are read; more meet a clear error instead of filling the memory and the screen."""
    rows = [{"hostname": f"h{number}"} for number in range(MAX_SERVERS)]
    assert len(decode_sync_status({"server_instances": rows}, T0).entries) == MAX_SERVERS
    with pytest.raises(RemoteError) as refused:
        decode_sync_status({"server_instances": [*rows, {}]}, T0)
    assert refused.value.code is Code.TOO_LARGE
    assert refused.value.cause == "license-sync-status lists 10,001 servers; more than 10,000 are not read"


def test_the_date_may_stand_in_any_form_or_place() -> None:
    """What is no date is quoted; a bare date is read as one."""
    assert entry(last_sync="2026-11-24T02:00:00Z").date == T0
    for value, quotation in (
        ("June 5, 2026", "June 5, 2026"),
        (["x"], "a list"),
        ({"date": {"x": 1}}, "an object"),
        ({"date": True}, "True"),
    ):
        found = entry(last_sync=value if isinstance(value, dict) else {"date": value})
        assert (found.date, found.unreadable) == (None, quotation)
    assert entry(last_sync={"date": "mona@example.com\n\x1b[2J"}).unreadable == "[address]"
