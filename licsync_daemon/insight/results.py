"""What the forecast and the search for duplicates return. Every number is a count of seats or accounts, and tables add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """How one server account counts. Exactly one applies to each."""

    MATCHED = "matched"  # with one cloud person: no seat of its own
    AMBIGUOUS = "ambiguous"  # with several cloud people; never guessed, no seat of its own
    NOT_COUNTED = "not_counted"  # suspended, `ghost`, or never signed in
    SERVER_ONLY = "server_only"  # a seat of its own, shared by all accounts with its address
    UNKNOWABLE = "unknowable"  # counted as a seat, unless the cloud hides an equal address


class Reason(StrEnum):
    """Why an account has its state."""

    ATTRIBUTED = "attributed"  # GitHub itself lists the account's id with the cloud person
    NAME_ID = "name_id"  # the address is the SAML NameID
    VERIFIED_EMAIL = "verified_email"
    SERVER_EMAIL = "server_email"  # the address of another account that GitHub attributes to the cloud person
    SEVERAL_PEOPLE = "several_people"
    SUSPENDED = "suspended"
    GHOST = "ghost"
    NEVER_SIGNED_IN = "never_signed_in"
    VERIFIED_DOMAIN = "verified_domain"  # the cloud would show an equal address
    NO_ADDRESS = "no_address"
    HIDDEN_ADDRESS = "hidden_address"  # some cloud person shows no address
    ALL_ADDRESSES_SHOWN = "all_addresses_shown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state of one account, the reason, and the cloud logins that it matches."""

    state: State
    reason: Reason
    logins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the arithmetic: a code for JSON and CSV, a label in words, and a signed number."""

    code: str
    label: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceCounts:
    """The accounts of one instance by state.

    Attributes:
        name: Of an instance without a file, the host name.
        from_cloud: No file was read: these are the accounts that the cloud lists.
        never_synced: The cloud lists no account of this host.
        people: Distinct people with a counted account here, cloud people included.
        only_here: Of those, the ones in no other place: one seat each.
    """

    name: str
    hostname: str
    from_cloud: bool
    never_synced: bool
    accounts: int
    states: Mapping[State, int]
    people: int
    only_here: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What the consumed licenses alone say; an organization or a cost center counts each of its people once.

    `seats == cloud_only + both + server_only + invited`; a Visual Studio subscription without an account takes none.
    """

    people: int
    seats: int
    cloud_only: int
    both: int
    server_only: int
    invited: int
    visual_studio_unmatched: int
    without_address: int  # cloud people who show no address
    without_identity: int  # cloud people without a SAML NameID
    by_instance: Mapping[str, int]
    by_organization: Mapping[str, int]
    by_cost_center: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Seats after the next sync of every instance, by the published rule: an estimate.

    Attributes:
        accounts: Lines that add up to all accounts: one a state, then the total `accounts`.
        people: From accounts that match nobody (`open`) through those that share an address (`same_address`, negative) to `server_people`.
        seats: Lines that add up to the forecast: seats by part, then the total `forecast`.
        difference: From what GitHub states (`stated`) through named parts and `unexplained` to `forecast`; empty if nothing is stated.
        low, high: The forecast if each unknowable account that GitHub does not list yet matches a cloud person, and if none does;
            `high` is the forecast.
        overlap: (instance, instance) -> people with a counted account on both, names in order; ("", name): also in the cloud.
        reasons: Accounts by reason. verified_domains: Configured, or seen among verified addresses; casefolded.
    """

    accounts: tuple[Line, ...]
    people: tuple[Line, ...]
    seats: tuple[Line, ...]
    difference: tuple[Line, ...]
    low: int
    high: int
    stated: int | None
    purchased: int | None
    instances: tuple[InstanceCounts, ...]
    overlap: Mapping[tuple[str, str], int]
    reasons: Mapping[Reason, int]
    consumption: Consumption
    verified_domains: frozenset[str]


class Tier(StrEnum):
    """How far a suggestion can be trusted; the score is the estimated probability that it is right."""

    SURE = "sure"
    LIKELY = "likely"


class Who(StrEnum):
    """Who can make the change."""

    PERSON = "person"
    IDENTITY_PROVIDER = "identity_provider"
    SERVER_ADMIN = "server_admin"
    CLOUD_OWNER = "cloud_owner"


class Cause(StrEnum):
    """Why GitHub counts one human being twice."""

    RENAMED_DOMAIN = "renamed_domain"
    PRIVATE_ADDRESS = "private_address"
    NO_LINKED_IDENTITY = "no_linked_identity"
    NO_VERIFIED_ADDRESS = "no_verified_address"
    PLUS_TAG = "plus_tag"
    OTHER_ADDRESS = "other_address"
    NO_ADDRESS = "no_address"
    INVITATION = "invitation"
    VISUAL_STUDIO = "visual_studio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Two seats that are probably one human being, and the one change that merges them. Nothing is merged by itself.

    One end is `account`, `invitation` or `subscription`; the other is `cloud_login` or `account2`.

    Attributes:
        account, account2: `INSTANCE:ID` of server accounts; `account2` only where no cloud person is meant.
        invitation: The invited address. `subscription`: the address of a Visual Studio subscription.
        score: The estimated probability of being right, 0 to 1.
        evidence: In words, strongest first; may name people.
        fix: One sentence in the imperative, which may name people. `who` makes the change; `contact` is the address to write to, or "".
        saves: Seats that the change frees.
    """

    account: str = ""
    account2: str = ""
    cloud_login: str = ""
    invitation: str = ""
    subscription: str = ""
    tier: Tier
    score: float
    evidence: tuple[str, ...]
    cause: Cause
    fix: str
    who: Who
    contact: str = ""
    saves: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Suggestions of one cause. `cost` is None without a price; it is `seats * price`."""

    cause: Cause
    people: int
    seats: int
    sure: int
    likely: int
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Likely duplicates, best first, and what was examined.

    Attributes:
        open_accounts: Accounts that take a seat of their own and were compared.
        set_aside: Counts of open accounts that were not compared, by reason in words (role address, ...).
    """

    suggestions: tuple[Suggestion, ...]
    open_accounts: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
