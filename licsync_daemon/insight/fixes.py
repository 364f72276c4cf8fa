"""Why GitHub counts one human being twice, the one change that merges the seats, and who can make it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from licsync_daemon.insight.handles import split_address
from licsync_daemon.insight.results import Cause, Who
from licsync_daemon.insight.seats import Seat
from licsync_daemon.insight.values import domain_key, shown

RENAMED = 3  # people with equal local parts at two domains, from which on one domain is the other's new name
# Domains at which anybody can have a mailbox; a company verifies none of them.
PUBLIC = frozenset(
    {
        "gmail",
        "googlemail",
        "outlook",
        "hotmail",
        "live",
        "msn",
        "yahoo",
        "ymail",
        "icloud",
        "me",
        "gmx",
        "web",
        "proton",
        "protonmail",
        "aol",
    }
    | {"mail", "yandex", "qq", "163", "126", "fastmail", "zoho", "tutanota", "hey", "pm", "free", "orange", "t-online"}
)


@dataclass(frozen=True, slots=True)
class Fix:
    """The one change. `contact` is the address of the person to ask, or ""."""

    cause: Cause
    text: str
    who: Who
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Company:
    """What is known of the company's addresses: verified domains, renamed ones as (old, new), and whether identities are linked at all."""

    verified: Collection[str]
    renamed: Collection[tuple[str, str]]
    links_identities: bool


def renamed_domains(pairs: Mapping[tuple[str, str], int]) -> set[tuple[str, str]]:
    """Return domains that were renamed, from how many people have equal local parts at two of them; both ways round."""
    return {pair for (a, b), number in pairs.items() if number >= RENAMED for pair in ((a, b), (b, a))}


def fix_to_cloud(seat: Seat, person: Seat, company: Company) -> Fix:
    """Return the change that makes a cloud person's seat and the accounts of a seat of servers one."""
    login, target = shown(person.id), person.address
    account = accounts_of(seat)
    if not seat.address:
        wanted = shown(target) or f"an address that {login} has verified"
        return Fix(Cause.NO_ADDRESS, f"make {wanted} the primary address of {account}", Who.SERVER_ADMIN)
    verify = f"let {login} verify {shown(seat.address)}"
    if not target:
        if company.links_identities and not person.linked and _is_company(seat.address, company):
            text = f"link the SAML identity of {login} ({shown(seat.address)})"
            return Fix(Cause.NO_LINKED_IDENTITY, text, Who.IDENTITY_PROVIDER, seat.address)
        return Fix(Cause.NO_VERIFIED_ADDRESS, verify, Who.PERSON, seat.address)
    cause = cause_of(seat.address, target, company)
    if cause is Cause.RENAMED_DOMAIN:
        return Fix(cause, f"make {shown(target)} the primary address of {account}", Who.SERVER_ADMIN, target)
    if len(seat.accounts) > 1:  # one change instead of several
        return Fix(cause, verify, Who.PERSON, target)
    return Fix(cause, f"make {shown(target)} the primary address of {account}", Who.PERSON, target)


def fix_on_servers(one: Seat, other: Seat, company: Company) -> Fix:
    """Return the change that makes the accounts of two seats of servers one: the better address becomes the primary one of both."""
    worse, better = sorted((one, other), key=lambda seat: (_quality(seat.address, company), len(seat.accounts)))
    if not better.address:
        return Fix(Cause.NO_ADDRESS, f"give {accounts_of(one)} and {accounts_of(other)} the same primary address", Who.SERVER_ADMIN)
    text = f"make {shown(better.address)} the primary address of {accounts_of(worse)}"
    if not worse.address:
        return Fix(Cause.NO_ADDRESS, text, Who.SERVER_ADMIN)
    cause = cause_of(worse.address, better.address, company)
    return Fix(cause, text, Who.SERVER_ADMIN if cause is Cause.RENAMED_DOMAIN else Who.PERSON, better.address)


def fix_of_row(address: str, login: str, *, invited: bool) -> Fix:
    """Return the change for an invitation, or a Visual Studio subscription, whose person is in the cloud already."""
    if invited:
        return Fix(
            Cause.INVITATION,
            f"cancel the invitation to {shown(address)}: {shown(login)} is a member or collaborator already",
            Who.CLOUD_OWNER,
        )
    return Fix(Cause.VISUAL_STUDIO, f"match Visual Studio subscription {shown(address)} to {shown(login)}", Who.CLOUD_OWNER)


def cause_of(address: str, target: str, company: Company) -> Cause:
    """Return why two addresses of one person are not equal."""
    (local, domain), (wanted, home) = split_address(address), split_address(target)
    if local.partition("+")[0] == wanted.partition("+")[0] and domain == home:
        return Cause.PLUS_TAG
    if local == wanted and (domain, home) in company.renamed:
        return Cause.RENAMED_DOMAIN
    return Cause.OTHER_ADDRESS if _is_company(address, company) else Cause.PRIVATE_ADDRESS


def is_public(address: str) -> bool:
    """Return whether anybody can have a mailbox at the domain of an address."""
    return domain_key(address).partition(".")[0] in PUBLIC


def accounts_of(seat: Seat) -> str:
    """Return the accounts of a seat in words: `account 1207 on emea and account 4 on apac`."""
    named = [f"account {shown(key.rpartition(':')[2])} on {shown(key.rpartition(':')[0])}" for _, key, _ in seat.accounts]
    return named[0] if len(named) == 1 else ", ".join(named[:-1]) + f" and {named[-1]}"


def _is_company(address: str, company: Company) -> bool:
    return domain_key(address) in company.verified and not is_public(address)


def _quality(address: str, company: Company) -> int:
    return 0 if not address else 3 if _is_company(address, company) else 1 if is_public(address) else 2
