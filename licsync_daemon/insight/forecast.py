"""The forecast of seats: a stream of accounts in, tables that add up out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.results import Consumption, Forecast, InstanceCounts, Line, Reason, State
from licsync_daemon.insight.values import Instance, Kind, ServerAccount, Stated, address_key
from licsync_daemon.rules.verdict import bare_host

# The bits of a seat of a server; the bits of its instances are above them.
_UNKNOWABLE, _LISTED, _FLAGS = 1, 2, 2
_KEPT, _NOW_MATCHED = 1, 2  # a server-only row takes a seat of its own; or matches a cloud person now
_IN_CLOUD = frozenset({State.MATCHED, State.AMBIGUOUS})


@dataclass(slots=True)
class _Tally:
    """What is known of one instance while accounts pass."""

    bit: int
    states: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))


class _Count:
    """Counts accounts as they pass. Of each seat it keeps a hash and a few bits."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.tallies = {one.name: _Tally(1 << place) for place, one in enumerate(cloud.instances)}
        self.elsewhere: dict[str, _Tally] = {}  # the same of hosts without a file
        self.reasons: dict[Reason, int] = {}
        self.people = [0] * len(cloud.logins)  # of each row: bits of the instances where it has an account
        self.rows_seen = bytearray(len(cloud.logins))  # of each server-only row: what became of it
        self.seats: dict[int, int] = {}  # hash of the address -> bits
        self.nameless: dict[int, int] = {}  # bits -> seats of accounts without an address
        self.open = 0
        self._same: dict[int, int] = {}  # one object for equal bits

    def add(self, account: ServerAccount) -> None:
        """Count an account of an instance with a file."""
        state, reason, row = self.cloud.look(account)
        tally = self.tallies[account.instance]
        tally.states[state] += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        listed = self.cloud.listed_alone(account)
        if state in _IN_CLOUD:
            if row is not None:
                self.people[row] = self._one(self.people[row] | tally.bit)
            if listed is not None:
                self.rows_seen[listed] |= _NOW_MATCHED
        elif state is not State.NOT_COUNTED:
            self.add_seat(address_key(account.email), tally.bit, listed, unknowable=state is State.UNKNOWABLE)

    def add_seat(self, address: str, bit: int, listed: int | None, *, unknowable: bool) -> None:
        """Count an account that matches nobody."""
        self.open += 1
        bits = bit << _FLAGS | (_UNKNOWABLE if unknowable else 0)
        if listed is not None:
            bits |= _LISTED
            self.rows_seen[listed] |= _KEPT
        if address:
            key = hash(address)
            self.seats[key] = self._one(self.seats.get(key, 0) | bits)
        else:
            self.nameless[bits] = self.nameless.get(bits, 0) + 1

    def add_elsewhere(self) -> None:
        """Count the accounts that the cloud lists on hosts without a file."""
        cloud = self.cloud
        for host, number in cloud.accounts_elsewhere.items():
            self._elsewhere(host).states[State.MATCHED] += number
            self.reasons[Reason.ATTRIBUTED] = self.reasons.get(Reason.ATTRIBUTED, 0) + number
        for row, host, address in cloud.elsewhere:
            tally = self._elsewhere(host)
            stand_in = ServerAccount(instance=host, id="", email=address or f"\0{row}")
            state, reason, _ = cloud.look(stand_in)
            if state in _IN_CLOUD:  # GitHub lists it without a cloud person, and GitHub's word wins
                state, reason = State.SERVER_ONLY, Reason.VERIFIED_DOMAIN
            tally.states[state] += 1
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            self.add_seat(stand_in.email, tally.bit, row, unknowable=state is State.UNKNOWABLE)
        for row, mask in enumerate(cloud.attributed):
            if mask and cloud.logins[row]:
                bits = self.people[row]
                for host, tally in self.elsewhere.items():
                    if mask & cloud.hosts.get(host, 0):
                        bits |= tally.bit
                self.people[row] = self._one(bits)

    def _elsewhere(self, host: str) -> _Tally:
        return self.elsewhere.setdefault(host, _Tally(1 << (len(self.tallies) + len(self.elsewhere))))

    def _one(self, bits: int) -> int:
        return self._same.setdefault(bits, bits)


def forecast(cloud: Cloud, accounts: Iterable[ServerAccount], stated: Stated | None = None) -> Forecast:
    """Return the seats after the next sync of every instance.

    Accounts that the cloud lists on hosts without a file are added from the consumed licenses. Reads `accounts` once.

    Args:
        cloud: The index of the consumed licenses.
        accounts: Rows of the site-admin reports of all instances, in any order.
        stated: GitHub's own totals. Without them, the consumed rows are what GitHub states, if there are any.
    """
    count = _Count(cloud)
    for account in accounts:
        count.add(account)
    count.add_elsewhere()
    consumption = cloud.counts.result()
    seats: dict[int, int] = dict(count.nameless)
    for bits in count.seats.values():
        seats[bits] = seats.get(bits, 0) + 1
    total = sum(seats.values())
    unknowable = sum(number for bits, number in seats.items() if bits & _UNKNOWABLE)
    open_question = sum(number for bits, number in seats.items() if bits & _UNKNOWABLE and not bits & _LISTED)
    both = sum(1 for bits in count.people if bits)
    cloud_people = consumption.cloud_only + consumption.both
    number = cloud_people + consumption.invited + total
    states = {state: sum(one.states[state] for one in [*count.tallies.values(), *count.elsewhere.values()]) for state in State}
    said = stated.consumed if stated is not None and stated.consumed is not None else (consumption.seats or None)
    return Forecast(
        accounts=(
            *(Line(state.value, _STATES[state], states[state]) for state in State),
            Line("accounts", "accounts", sum(states.values())),
        ),
        people=(
            Line("open", "accounts that match nobody in the cloud", count.open),
            Line("same_address", "of those, on further instances under an equal address", total - count.open),
            Line("server_people", "people known only from servers", total),
        ),
        seats=(
            Line("cloud_only", "cloud people without a server account", cloud_people - both),
            Line("both", "cloud people with a server account", both),
            Line("invited", "pending invitations", consumption.invited),
            Line("server_only", "people known only from servers", total - unknowable),
            Line("unknowable", "people known only from servers, unless the cloud hides an equal address", unknowable),
            Line("forecast", "seats forecast", number),
        ),
        difference=_difference(count, seats, consumption, said, number) if said is not None else (),
        low=number - open_question,
        high=number,
        stated=said,
        purchased=stated.purchased if stated is not None else None,
        instances=tuple(_instances(count, seats)),
        overlap=_overlap(count, seats),
        reasons=dict(sorted(count.reasons.items())),
        consumption=consumption,
        verified_domains=frozenset(cloud.verified),
    )


_STATES = {
    State.MATCHED: "match a cloud person",
    State.AMBIGUOUS: "match several cloud people",
    State.NOT_COUNTED: "take no seat (suspended, ghost, never signed in)",
    State.SERVER_ONLY: "match nobody",
    State.UNKNOWABLE: "match nobody, unless the cloud hides an equal address",
}


def _difference(count: _Count, seats: dict[int, int], consumption: Consumption, stated: int, number: int) -> tuple[Line, ...]:
    """Return the way from what GitHub states to the forecast, part by part."""
    never = sum(count.tallies[one.name].bit for one in count.cloud.instances if never_synced(count.cloud, one))
    new = {bits: n for bits, n in seats.items() if not bits & _LISTED}
    on_never = sum(n for bits, n in new.items() if (bits >> _FLAGS) & ~never == 0)
    rows = [seen for seen, kind in zip(count.rows_seen, count.cloud.kinds, strict=True) if kind is Kind.SERVER]
    now_matched, gone = rows.count(_NOW_MATCHED), rows.count(0)
    kept = len(rows) - now_matched - gone
    parts = [
        Line("never_synced", "people on instances that the cloud does not list", on_never),
        Line("new", "people whose accounts the cloud does not list yet", sum(new.values()) - on_never),
        Line("now_matched", "people listed as server-only who match a cloud person now", -now_matched),
        Line("gone", "people listed as server-only whose accounts are gone or take no seat now", -gone),
        Line(
            "addresses",
            "people listed as server-only whose addresses became equal, or differ now",
            sum(seats.values()) - sum(new.values()) - kept,
        ),
    ]
    left = number - stated - sum(line.number for line in parts)
    invited = consumption.invited if left == consumption.invited else 0
    return (
        Line("stated", "seats that GitHub states", stated),
        *parts,
        Line("invitations", "pending invitations, which GitHub's total leaves out", invited),
        Line("unexplained", "unexplained", left - invited),
        Line("forecast", "seats forecast", number),
    )


def never_synced(cloud: Cloud, instance: Instance) -> bool:
    """Return whether the cloud lists no account of an instance."""
    return bare_host(instance.hostname) not in cloud.hosts


def _instances(count: _Count, seats: dict[int, int]) -> Iterator[InstanceCounts]:
    masks = _masks(count)
    known = [(one, count.tallies[one.name], False) for one in count.cloud.instances]
    for one, tally, from_cloud in known + [(Instance(name=host, hostname=host), tally, True) for host, tally in count.elsewhere.items()]:
        yield InstanceCounts(
            name=one.name,
            hostname=one.hostname,
            from_cloud=from_cloud,
            never_synced=not from_cloud and never_synced(count.cloud, one),
            accounts=sum(tally.states.values()),
            states=tally.states,
            people=sum(n for mask, n in masks.items() if mask & tally.bit)
            + sum(n for bits, n in seats.items() if bits >> _FLAGS & tally.bit),
            only_here=sum(n for bits, n in seats.items() if bits >> _FLAGS == tally.bit),
        )


def _masks(count: _Count) -> dict[int, int]:
    """Return cloud people by the instances where they have an account."""
    masks: dict[int, int] = {}
    for mask in count.people:
        if mask:
            masks[mask] = masks.get(mask, 0) + 1
    return masks


def _overlap(count: _Count, seats: dict[int, int]) -> dict[tuple[str, str], int]:
    masks = _masks(count)
    tallies = count.tallies | count.elsewhere
    names = sorted(tallies)
    found = {("", name): sum(n for mask, n in masks.items() if mask & tallies[name].bit) for name in names}
    for place, a in enumerate(names):
        for b in names[place + 1 :]:
            pair = tallies[a].bit | tallies[b].bit
            found[a, b] = sum(n for mask, n in masks.items() if mask & pair == pair)
            found[a, b] += sum(n for bits, n in seats.items() if bits >> _FLAGS & pair == pair)
    return found
