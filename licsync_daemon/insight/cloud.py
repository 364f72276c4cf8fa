"""The cloud's people, indexed by everything that GitHub matches a server account by; decides the state of one account.

The published rule: the primary address of a server account is compared with the linked identity, then with every verified address; accounts
of equal address are one person. What GitHub already attributed by the account's id wins. Sources: GitHub's documentation of license usage
(troubleshooting) and of the users who consume a license. Case is not published: addresses are compared casefolded.
"""

from collections.abc import Collection, Iterable, Sequence

from licsync_daemon.insight.consumption import Counts
from licsync_daemon.insight.results import Judgement, Reason, State
from licsync_daemon.insight.values import Instance, Kind, Person, ServerAccount, address_key, domain_key
from licsync_daemon.rules.verdict import bare_host

NO_ID = "(no id)"  # stands for the host of a server-only person whose row lists no account
_CLAIMS = (Reason.NAME_ID, Reason.VERIFIED_EMAIL, Reason.SERVER_EMAIL)


class Cloud:
    """An index of the consumed licenses. Reads the stream of people once and keeps hashes, logins and counts only.

    Two addresses whose 64-bit hashes are equal would be taken for one; among ten million that happens once in 300,000 reports.

    Args:
        people: Rows of the consumed licenses.
        instances: Every instance whose accounts were read from a file.
        domains: Verified domains as configured; those seen among verified addresses are added.

    Attributes:
        logins: Of each row; `kinds`: its kind.
        attributed: Of each row, the hosts on which GitHub attributes accounts to it, as bits of `hosts`.
        elsewhere: (row, host, address) of server-only rows on hosts without one.
        accounts_elsewhere: Accounts of cloud people on hosts without a file.
        hides: Whether some cloud person shows no address at all.
    """

    def __init__(self, people: Iterable[Person], *, instances: Sequence[Instance] = (), domains: Collection[str] = ()) -> None:
        self.instances = tuple(instances)
        self.verified = {domain_key(domain) for domain in domains}
        self.hides = False
        self.counts = Counts()
        self.logins: list[str] = []
        self.kinds: list[Kind] = []
        self.hosts: dict[str, int] = {}
        self.attributed: list[int] = []
        self.elsewhere: list[tuple[int, str, str]] = []
        self.accounts_elsewhere: dict[str, int] = {}
        self._names = {bare_host(one.hostname): one.name for one in instances}
        self._listed: dict[int, int] = {}  # hash of an account -> as in `_claims`
        self._alone: dict[int, int] = {}  # hash of an account -> server-only row
        self._claims: dict[int, int] = {}  # hash of an address -> 3 * row + claim; of an ambiguous one, -1 - its place in `_several`
        self._several: list[list[int]] = []
        masks: dict[int, int] = {}  # one object for equal masks
        for row, person in enumerate(people):
            self.counts.add(person)
            self.logins.append(person.login if person.is_cloud else "")
            self.kinds.append(person.kind)
            mask = self._list_accounts(row, person)
            self.attributed.append(masks.setdefault(mask, mask))
            if person.is_cloud:
                self._claim(row, person)
        self.verified.discard("")

    def _list_accounts(self, row: int, person: Person) -> int:
        mask = 0
        address = address_key(person.server_emails[0]) if person.server_emails else ""
        if not person.server_ids and person.kind is Kind.SERVER:
            self.elsewhere.append((row, NO_ID, address))
        for host, number in person.server_ids:
            host = bare_host(host)  # noqa: PLW2901 - the compared form
            mask |= self.hosts.setdefault(host, 1 << len(self.hosts))
            name = self._names.get(host)
            if name is not None:
                if person.is_cloud:
                    self._add_claim(self._listed, hash((name, number)), row, 0)
                else:
                    self._alone.setdefault(hash((name, number)), row)
            elif person.is_cloud:
                self.accounts_elsewhere[host] = self.accounts_elsewhere.get(host, 0) + 1
            else:
                self.elsewhere.append((row, host, address))
        return mask

    def _claim(self, row: int, person: Person) -> None:
        self.hides = self.hides or not person.shows_address
        self.verified.update(domain_key(address) for address in person.verified_emails if "@" in address)
        claims = ((person.saml_name_id,), person.verified_emails, person.server_emails)
        for claim, addresses in enumerate(claims):
            for address in addresses:
                if address:
                    self._add_claim(self._claims, hash(address_key(address)), row, claim)

    def _add_claim(self, claims: dict[int, int], key: int, row: int, claim: int) -> None:
        held = claims.setdefault(key, 3 * row + claim)
        if held < 0:
            self._several[-1 - held].append(row)
        elif self.logins[held // 3] != self.logins[row]:
            self._several.append([held // 3, row])
            claims[key] = -len(self._several)

    def accounts_without_file(self, person: Person) -> list[ServerAccount]:
        """Return the accounts of a server-only row on hosts without a file, with their addresses: one for each, or the first for all."""
        mails = person.server_emails
        each = mails if len(mails) == len(person.server_ids) else mails[:1] * len(person.server_ids)
        pairs = zip(person.server_ids, each or ("",) * len(person.server_ids), strict=True)
        return [
            ServerAccount(instance=bare_host(host), id=number, email=mail)
            for (host, number), mail in pairs
            if bare_host(host) not in self._names
        ]

    def hosts_without_file(self, person: Person) -> set[str]:
        """Return the hosts without a file on which GitHub attributes an account to a person."""
        return {bare_host(host) for host, _ in person.server_ids} - self._names.keys()

    def claimed_by(self, address: str) -> list[str]:
        """Return the cloud people, by login, to whom GitHub would match an address."""
        return self._people(self._claims.get(hash(address_key(address))) if address else None)

    def _people(self, held: int | None) -> list[str]:
        rows = [] if held is None else [held // 3] if held >= 0 else self._several[-1 - held]
        return sorted({self.logins[row] for row in rows})

    def listed_alone(self, account: ServerAccount) -> int | None:
        """Return the row in which GitHub lists this account without a cloud person."""
        return self._alone.get(hash((account.instance, account.id)))

    def _held(self, account: ServerAccount) -> tuple[int | None, bool]:
        """Return what holds an account: what GitHub attributes wins (True), then what its address matches."""
        held = self._listed.get(hash((account.instance, account.id)))
        if held is not None or not account.email:
            return held, True
        return self._claims.get(hash(address_key(account.email))), False

    def look(self, account: ServerAccount) -> tuple[State, Reason, int | None]:
        """Return the state of an account, the reason, and the row of the one cloud person that it matches."""
        if account.suspended:
            return State.NOT_COUNTED, Reason.SUSPENDED, None
        if account.login.casefold() == "ghost":
            return State.NOT_COUNTED, Reason.GHOST, None
        if account.never_signed_in:
            return State.NOT_COUNTED, Reason.NEVER_SIGNED_IN, None
        held, attributed = self._held(account)
        if held is not None:
            if held < 0:
                return State.AMBIGUOUS, Reason.SEVERAL_PEOPLE, None
            return State.MATCHED, Reason.ATTRIBUTED if attributed else _CLAIMS[held % 3], held // 3
        address = address_key(account.email)
        if address and domain_key(address) in self.verified:
            return State.SERVER_ONLY, Reason.VERIFIED_DOMAIN, None
        if self.hides:
            return State.UNKNOWABLE, Reason.HIDDEN_ADDRESS if address else Reason.NO_ADDRESS, None
        return State.SERVER_ONLY, Reason.ALL_ADDRESSES_SHOWN if address else Reason.NO_ADDRESS, None

    def judge(self, account: ServerAccount) -> Judgement:
        """Return the state of an account of one of the `instances`. Depends on nothing but the people and this account."""
        state, reason, row = self.look(account)
        if state is State.AMBIGUOUS:
            return Judgement(state, reason, tuple(self._people(self._held(account)[0])))
        return Judgement(state, reason, () if row is None else (self.logins[row],))
