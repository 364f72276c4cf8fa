"""The table of quirks: responses as GitHub was observed to send them, which its schema does not describe, or barely allows.

`row` is the number of the edge case in the facts that the product is built on. A quirk that `deviates` breaks the published schema, or
adds fields that are not in it; the others are within the schema, but break careless clients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Quirk:
    """One quirk: `apply` changes a row of the response in place; `n` is the row's index in the whole response."""

    name: str
    where: str
    row: int
    deviates: bool
    what: str
    apply: Callable[[Row, int], None]


def _two_factor(row: Row, _: int) -> None:
    if not row["github_com_user"]:
        row["github_com_two_factor_auth"] = ""


def _singular_role(row: Row, _: int) -> None:
    if not row["github_com_user"]:
        row["github_com_enterprise_role"] = ""


def _old_emails_name(row: Row, n: int) -> None:
    if n % 3 == 1:
        row["enterprise_server_primary_emails"] = row.pop("enterprise_server_emails")


def _null_values(row: Row, n: int) -> None:
    if n % 2 == 1 and not row["enterprise_server_user_ids"]:
        row["enterprise_server_user"] = None
    if n % 4 == 1:
        row["github_com_name"] = row["github_com_name"] or None
        row["visual_studio_subscription_email"] = None


def _unknown_fields(row: Row, _: int) -> None:
    row["github_com_cost_center"] = ""


def _absent_fields(row: Row, n: int) -> None:
    if n % 5 == 2:
        del row["visual_studio_license_status"]


def _hostname_case_and_port(row: Row, n: int) -> None:
    if n % 5 == 3:
        pairs = (text.rpartition(":") for text in row["enterprise_server_user_ids"])
        row["enterprise_server_user_ids"] = [f"{host.upper()}:443:{number}" for host, _, number in pairs]


def _license_type(row: Row, n: int) -> None:
    if n % 7 == 4:
        row["license_type"] = "Enterprise"


def _unknown_sync_fields(row: Row, _: int) -> None:
    row["version"] = ""


def _seats_as_string(row: Row, n: int) -> None:
    unlimited = n % 2 == 0
    row["seats"] = "unlimited" if unlimited else str(row["seats"])
    row["seats_available"] = "unlimited" if unlimited else str(row["seats_available"])


def _expire_at(row: Row, _: int) -> None:
    date, time = row["expire_at"].rstrip("Z").split("T")
    row["expire_at"] = f"{date.replace('-', '/')} {time} -0600"


CONSUMED, SYNC, LICENSE = "consumed-licenses", "license-sync-status", "settings/license"
TABLE = (
    Quirk("two_factor_empty_string", CONSUMED, 2, True, '"" for the two-factor flag of a server-only person', _two_factor),
    Quirk("singular_enterprise_role", CONSUMED, 3, True, "an extra github_com_enterprise_role on server-only rows", _singular_role),
    Quirk("old_server_emails_name", CONSUMED, 4, True, "enterprise_server_primary_emails on every third row", _old_emails_name),
    Quirk("unknown_fields", CONSUMED, 3, True, "github_com_cost_center, which is not in the schema", _unknown_fields),
    Quirk("unknown_sync_fields", SYNC, 3, True, "version beside server_id, which is not in the schema", _unknown_sync_fields),
    Quirk("null_values", CONSUMED, 2, False, "null where the schema allows it: server user, name, subscription address", _null_values),
    Quirk("absent_fields", CONSUMED, 3, False, "no visual_studio_license_status on some rows; no field is required", _absent_fields),
    Quirk("hostname_case_and_port", CONSUMED, 24, False, "HOST:443:ID in capital letters on every fifth row", _hostname_case_and_port),
    Quirk("license_type_spelling", CONSUMED, 40, False, '"Enterprise" on some rows, "enterprise" on the others', _license_type),
    Quirk("seats_as_string", LICENSE, 21, False, '"unlimited" or digits in a string', _seats_as_string),
    Quirk("expire_at_not_iso", LICENSE, 20, False, "2027/02/06 12:41:52 -0600, as in the published example", _expire_at),
)
NAMES = tuple(quirk.name for quirk in TABLE)


class Quirks:
    """The active quirks: `"all"`, `"off"`, or names separated by commas."""

    def __init__(self, chosen: str = "all") -> None:
        names = {"all": set(NAMES), "off": set()}.get(chosen)
        if names is None:
            names = {name.strip() for name in chosen.split(",") if name.strip()}
        unknown = sorted(names - set(NAMES))
        if unknown:
            raise ValueError(f"unknown quirk {', '.join(unknown)}; valid: all, off, {', '.join(NAMES)}")
        self.names = frozenset(names)
        self._on = tuple(quirk for quirk in TABLE if quirk.name in names)

    def apply(self, where: str, row: Row, n: int) -> Row:
        """Change a row of the response named `where` in place, and return it."""
        for quirk in self._on:
            if quirk.where == where:
                quirk.apply(row, n)
        return row
