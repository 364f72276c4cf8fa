"""What the forecast and the search for duplicates read: cloud people, server accounts, instances, and the cloud's own totals.

Streams of these values go in; readers of files and of live servers make them. An account is named `INSTANCE:ID` everywhere.
Sources of the facts about GitHub: its published documentation of license reports and of license troubleshooting.
"""

from dataclasses import dataclass
from enum import StrEnum

from licsync_daemon.model.decode import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance whose accounts were read: its name in reports, and the host name by which the cloud lists its accounts."""

    name: str
    hostname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccount:
    """One row of a site-admin report.

    Attributes:
        instance: The `name` of an `Instance`.
        id: The account's number as text; it may have any size.
        email: The primary address as written; "" without one.
        name: The display name where the source gives one (GraphQL's `profileName`); no site-admin report does.
        never_signed_in: None if the report does not say, as `all_users.csv` does not.
    """

    instance: str
    id: str
    login: str = ""
    email: str = ""
    name: str = ""
    suspended: bool = False
    dormant: bool = False
    never_signed_in: bool | None = None

    @property
    def key(self) -> str:
        return f"{self.instance}:{self.id}"


class Kind(StrEnum):
    """What a row of the consumed licenses is. Only `CLOUD` and `BOTH` are cloud people."""

    CLOUD = "cloud"  # in the cloud only
    BOTH = "both"  # in the cloud and on at least one server
    SERVER = "server"  # on servers only
    INVITED = "invited"  # invited, not yet joined
    VISUAL_STUDIO = "visual_studio"  # a subscription that no account is matched to; takes no seat


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One row of the consumed licenses (CSV or REST): one consumer of a license, in the cloud, on servers, or both.

    Attributes:
        login: "" for a row known only from servers; an invited person has an address here.
        verified_emails: Addresses on verified domains; GitHub hides all others.
        server_ids: (host name, account id) of each server account that GitHub attributes to this person; casefolded host.
        server_emails: Primary addresses of those accounts.
        member_roles: `ORGANIZATION:Role` or `ORGANIZATION/REPOSITORY:Collaborator`.
        invitations: Organizations with a pending invitation for this person.
        in_cloud: The report's own flag; None if absent.
        visual_studio_status: `Matched`, `Pending Invitation`, or "".
    """

    login: str = ""
    name: str = ""
    saml_name_id: str = ""
    verified_emails: tuple[str, ...] = ()
    server_ids: tuple[tuple[str, str], ...] = ()
    server_emails: tuple[str, ...] = ()
    enterprise_roles: tuple[str, ...] = ()
    member_roles: tuple[str, ...] = ()
    invitations: tuple[str, ...] = ()
    license_type: str = ""
    in_cloud: bool | None = None
    on_servers: bool | None = None
    visual_studio: bool = False
    visual_studio_status: str = ""
    visual_studio_email: str = ""
    cost_center: str = ""
    total_accounts: int | None = None

    @property
    def is_cloud(self) -> bool:
        """Return whether this is a cloud person, on servers as well or not."""
        return self.kind in (Kind.CLOUD, Kind.BOTH)

    @property
    def shows_address(self) -> bool:
        """Return whether the cloud shows any address of this person; a NameID need not be one."""
        return "@" in self.saml_name_id or any("@" in address for address in self.verified_emails)

    @property
    def kind(self) -> Kind:
        """Return what this row is. An invitation shows as an address for a login, or as no account at all beside a pending one."""
        if self.login and self.in_cloud is not True and ("@" in self.login or self.total_accounts == 0):
            return Kind.INVITED
        if self.login:
            return Kind.BOTH if self.server_ids or self.on_servers else Kind.CLOUD
        if self.server_ids or self.server_emails or self.on_servers or not self.visual_studio_email:
            return Kind.SERVER
        return Kind.VISUAL_STUDIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What GitHub itself states; None if it was not read."""

    consumed: int | None = None
    purchased: int | None = None


def shown(text: str) -> str:
    """Return a login or an address for a sentence: one printable line, bounded. Personal data, shown only where the report may."""
    return printable(text, 100)


def address_key(address: str) -> str:
    """Return the form by which addresses are compared: casefolded, without spaces around it; GitHub publishes no further rule."""
    return address.strip().casefold()


def domain_key(text: str) -> str:
    """Return the domain of an address, or a domain, as it is compared: casefolded, an international one in its ASCII form."""
    domain = text.strip().casefold().rpartition("@")[2].rstrip(".")
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain
