"""Properties of decoding: whatever JSON comes, its values can be stored, compared and printed."""

import json
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from licsync_daemon.cloud.decode import decode_consumed_page, decode_organization, decode_sync_status
from licsync_daemon.cloud.graphql_decode import read_connection, read_installation, read_points, read_reply
from licsync_daemon.model.alert import Event
from licsync_daemon.model.decode import count_of, date_of
from licsync_daemon.model.errors import RemoteError
from licsync_daemon.model.instance import MailNotifier
from licsync_daemon.model.run import InstanceRecord, RunState, SeatRecord
from licsync_daemon.model.usage import Listing, SyncEntry, Upload
from licsync_daemon.monitoring.alerts import Change, as_json, message_of
from licsync_daemon.monitoring.channels.mail import letter
from licsync_daemon.rules.connect import judge_connect
from licsync_daemon.rules.servers import compare, in_short, problems
from licsync_daemon.rules.verdict import baseline_of, entry_of, judge, must_wait_s
from licsync_daemon.sources.report import unusable_counts
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.confirm import instance_record
from tests.fakes import T0, a_config, a_delivery, an_alert, an_ended_run, an_instance

OURS = {"server_id": "server-emea", "hostname": "ghes-emea.example.com"}
texts = st.text(max_size=12) | st.sampled_from(
    ["\x1b[31m", "a\nb", "\u202e", "\ud800", "ghp_" + "x" * 40, "0001-01-01T00:00:00Z", "SUCCESS", "1e999"]
)
numbers = st.integers() | st.sampled_from([10**30, -5, 2**53, 2**63, 2**64]) | st.floats()
odd = st.none() | st.booleans() | numbers | texts | st.lists(texts, max_size=2) | st.dictionaries(texts, numbers, max_size=2)
dates = odd | st.datetimes().map(datetime.isoformat) | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
dates |= st.datetimes(timezones=st.timezones()).map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S %z"))
syncs = odd | dates | st.fixed_dictionaries({}, optional={"date": dates, "status": odd, "error": odd})
servers = st.fixed_dictionaries({}, optional={"server_id": odd, "hostname": odd, "last_sync": syncs})
ours = syncs.map(lambda sync: OURS | {"last_sync": sync})


def printed(value: Any) -> bool:
    """Return whether every text in a value can be printed."""
    if is_dataclass(value):
        return all(printed(getattr(value, one.name)) for one in fields(value))
    if isinstance(value, tuple):
        return all(map(printed, value))
    return value.isprintable() if isinstance(value, str) else True


def assert_printable(text: str) -> None:
    assert text.isprintable()


@given(st.lists(servers, max_size=3), ours, st.none() | st.datetimes(timezones=st.just(UTC)))
@example([{"server_id": "x", "last_sync": {"date": "0001-01-01T00:00:00Z"}}], OURS, T0)
@example([], OURS | {"last_sync": {"date": "9999-12-31T23:59:59Z", "status": "success"}}, datetime.max.replace(tzinfo=UTC))
def test_a_sync_status_can_be_stored_compared_and_printed(rows: list[Any], own: dict[str, Any], answered_at: datetime | None) -> None:
    """Every rule reads it, the state gives it back, and no text of it leaves its line."""
    answered_at = min(answered_at, datetime(9999, 1, 1, tzinfo=UTC)) if answered_at else None  # as `http_date` returns it
    status = decode_sync_status({"server_instances": [*rows, own]}, answered_at)
    instance, record = an_instance("emea", server_id="server-emea"), a_delivery()
    store = MemoryStore()
    listing = Listing(entries=status.entries, read_at=T0)
    store.save_listing(listing)
    found = store.listing()
    assert found is not None
    assert found.entries == tuple(one for one in status.entries if one.server_id is not None or one.hostname is not None)
    store.save_delivery(replace(record, baseline=baseline_of(record.identity, status)))
    store.save_instance(instance_record(instance, record.identity, status, T0, InstanceRecord(name="emea", identity=record.identity)))
    assert store.open_delivery("emea") is not None
    assert store.instance("emea") is not None
    assert must_wait_s(baseline_of(record.identity, status)) >= 0
    verdicts = [judge(record, Upload(state=None), status)]
    seen = judge_connect(instance, record.identity, status, installations=None, dates=[T0], before=T0, disconnected_before=False, now=T0)
    assert printed(status)
    assert printed(seen)
    assert all(map(printed, verdicts))
    assert all(printed(one) for one in problems(compare(listing, a_config(instance))))
    assert all(in_short(one).isprintable() for one in status.entries)


@given(ours)
def test_a_date_that_cannot_be_read_is_never_taken_for_never(own: dict[str, Any]) -> None:
    """`never_synced` is said only of a server without any date."""
    status = decode_sync_status({"server_instances": [own]}, T0)
    entry = entry_of(a_delivery().identity, status)
    assert isinstance(entry, SyncEntry)
    sync = own["last_sync"] if isinstance(own["last_sync"], dict) else {"date": own["last_sync"] or None}
    try:
        is_never = date_of(sync.get("date")) is None
    except ValueError:
        is_never = False
    assert (entry.date is None and entry.unreadable is None) is is_never


@given(odd, odd, odd)
def test_totals_can_be_stored(consumed: Any, purchased: Any, users: Any) -> None:
    """Whatever an account or an instance counts, the state takes it."""
    page, _ = decode_consumed_page({"total_seats_consumed": consumed, "total_seats_purchased": purchased, "users": []})
    plan = decode_organization({"login": "octo", "plan": {"filled_seats": consumed, "seats": purchased}})
    store = MemoryStore()
    for totals in (page, plan):
        store.save_seats(SeatRecord(read_at=T0, consumed=totals.consumed, purchased=totals.purchased))
        assert store.seats() == SeatRecord(read_at=T0, consumed=totals.consumed, purchased=totals.purchased)
        assert printed(totals)
    run = an_ended_run("run1", RunState.CONFIRMED)
    counts = replace(run.counts, total_users=count_of(users), seats_used=count_of(consumed))
    run = replace(run, counts=counts, notices=unusable_counts({"total_users": users, "seats_used": consumed}))
    store.save_run(run, T0)
    assert store.run("run1") == run
    assert printed(run.notices)


nodes = st.fixed_dictionaries(
    {},
    optional={
        "hostName": odd,
        "isConnected": odd,
        "userAccounts": odd | st.fixed_dictionaries({"totalCount": odd}),
        "userAccountsUploads": odd
        | st.fixed_dictionaries({"nodes": st.lists(st.fixed_dictionaries({"syncState": odd, "createdAt": dates}), max_size=2)}),
    },
)


@given(odd, st.lists(odd | nodes, max_size=3), odd, odd)
@example(5, [], None, None)
@example(["x"], [], None, None)
@example(None, [{"hostName": "h", "userAccountsUploads": {"nodes": [{"syncState": []}]}}], None, None)
def test_graphql_is_read_or_refused_with_our_error(errors: Any, listed: list[Any], points: Any, page: Any) -> None:
    """No reply raises anything else, and what is read can be stored and printed."""
    body = {"errors": errors, "data": {"x": {"pageInfo": page, "nodes": listed}, "rateLimit": {"remaining": points, "resetAt": points}}}
    try:
        data, said = read_reply(body, {}, "the servers")
        read_points(data)
        found, _ = read_connection(data, ("x",), "the servers")
    except RemoteError as error:
        assert_printable(error.cause)
        return
    assert printed(said)
    for one in map(read_installation, found):
        assert printed(one)
        assert one is None or one.accounts is None or 0 <= one.accounts <= 2**53


@given(st.text(), st.text())
def test_what_is_sent_is_printable(text: str, next_step: str) -> None:
    """A text that an earlier version stored loses what cannot be printed when it is shown or sent."""
    alert = an_alert(text=text, next_step=next_step)
    message = message_of(Change(alert, Event.OPENED), None, a_config(), machine="host-a", now=T0)
    sent = as_json(message)
    for said in (*message.lines, str(sent["text"]), str(sent["next_step"])):
        assert said.replace("\n", "").replace("\t", "").isprintable()
    json.dumps(sent, ensure_ascii=False).encode()
    letter(
        message, MailNotifier(host="mail.example.com", port=25, security="none", sender="a@example.com", to=("b@example.com",))
    ).as_bytes()
