"""Decode the cloud's responses, as tolerantly as the published examples require.

Neither licensing schema requires any field, the examples contain `""` where the schema says boolean, and a list may contain anything. A row
that cannot be read is skipped; a body of another kind is an error. Numbers in comments are rows of the table of edge data.
Source: GitHub's published OpenAPI of GHEC, `enterprise-admin/get-license-sync-status` and `…/get-consumed-licenses` (23.0.2).
"""

from datetime import datetime
from typing import Any

from licsync_daemon.model.decode import MAX_ADDRESS, count_of, date_of, host_of, name_of, quoted, text_of, unusable_count, word_of
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import Person, SeatTotals, SyncEntry, SyncStatus
from licsync_daemon.rules.success import error_in

MAX_SERVERS = 10_000  # of one enterprise
MAX_PEOPLE = 10_000  # on one page; 100 are requested


def decode_sync_status(data: Any, answered_at: datetime | None) -> SyncStatus:
    """Decode a response of `license-sync-status`.

    Raises:
        RemoteError: `BAD_RESPONSE`: it contains no list of servers. `TOO_LARGE`: the list is too long.
    """
    servers = data.get("server_instances") if isinstance(data, dict) else None
    if servers is None and _is_schema(data):
        # A JSON *schema* of the response was once published as its example and modeled by a well-known client (ref 3.2).
        raise RemoteError(
            Code.BAD_RESPONSE,
            "license-sync-status returned a JSON schema instead of data",
            "report this with the run ID",
        )
    if not isinstance(servers, list):
        raise RemoteError(
            Code.BAD_RESPONSE,
            "license-sync-status has no list `server_instances`",
            "check `cloud.api_url`; if it is right, update licsync-daemon",
        )
    if len(servers) > MAX_SERVERS:
        raise RemoteError(
            Code.TOO_LARGE,
            f"license-sync-status lists {len(servers):,} servers; more than {MAX_SERVERS:,} are not read",
            "check `cloud.api_url`; if it is right, ask GitHub Support why the enterprise lists so many servers",
        )
    return SyncStatus(entries=tuple(_entry(row) for row in servers if isinstance(row, dict)), answered_at=answered_at)


def _is_schema(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("properties"), dict) and "server_instances" in data["properties"]


def _entry(row: dict[str, Any]) -> SyncEntry:
    sync = row.get("last_sync")  # 28: absent, null and {} all mean "never synced"
    sync = sync if isinstance(sync, dict) else {"date": sync or None}
    date, unreadable = _date(sync.get("date"))
    return SyncEntry(
        server_id=name_of(row.get("server_id")),
        hostname=host_of(row.get("hostname")),
        date=date,
        status=clean(word_of(sync.get("status")) or "") or None,
        error=error_in(sync.get("error")) or None,
        unreadable=unreadable,
    )


def _date(value: Any) -> tuple[datetime | None, str | None]:
    """Return a date, None for never; and a quotation of what cannot be read as one."""
    try:
        return date_of(value), None
    except ValueError:
        return None, clean(quoted(value)) or "?"


def decode_consumed_page(data: Any) -> tuple[SeatTotals, tuple[Person, ...]]:
    """Decode one page of `consumed-licenses`: the totals, which each page repeats, and its people.

    Raises:
        RemoteError: `BAD_RESPONSE`: it is not such a page.
    """
    if not isinstance(data, dict) or not isinstance(data.get("users", []), list):
        raise RemoteError(
            Code.BAD_RESPONSE, "consumed-licenses has no list `users`", "check `cloud.api_url`; if it is right, update licsync-daemon"
        )
    if len(data.get("users", [])) > MAX_PEOPLE:
        raise RemoteError(
            Code.TOO_LARGE,
            f"a page of consumed-licenses has more than {MAX_PEOPLE:,} people",
            "check `cloud.api_url`; if it is right, update licsync-daemon",
        )
    totals = _seats(data, "total_seats_consumed", "total_seats_purchased")
    return totals, tuple(_person(row) for row in data.get("users", []) if isinstance(row, dict))


def decode_organization(data: Any) -> SeatTotals:
    """Decode the seats of an organization; None if the token may not read its plan.

    Raises:
        RemoteError: `BAD_RESPONSE`: it is not an organization.
    """
    if not isinstance(data, dict) or not isinstance(data.get("login"), str):
        raise RemoteError(
            Code.BAD_RESPONSE, "the organization's response has no `login`", "check `cloud.api_url`; if it is right, update licsync-daemon"
        )
    plan = data.get("plan")
    plan = plan if isinstance(plan, dict) else {}
    return _seats(plan, "filled_seats", "seats")


def _seats(data: dict[str, Any], consumed: str, purchased: str) -> SeatTotals:
    odd = tuple(f"{key}: {found}" for key in (consumed, purchased) if (found := unusable_count(data.get(key))) is not None)
    return SeatTotals(consumed=count_of(data.get(consumed)), purchased=count_of(data.get(purchased)), unusable=odd)


def _person(row: dict[str, Any]) -> Person:
    return Person(
        login=text_of(row.get("github_com_login")),  # 1: "" for a person known only from servers
        saml_name_id=text_of(row.get("github_com_saml_name_id")),  # 39: not necessarily an address
        server_accounts=tuple(_server_account(text) for text in _texts(row.get("enterprise_server_user_ids"))),
        # 4: the schema's name, or the name in earlier examples
        server_emails=_texts(row.get("enterprise_server_emails")) or _texts(row.get("enterprise_server_primary_emails")),
        verified_emails=_texts(row.get("github_com_verified_domain_emails")),
        license_type=text_of(row.get("license_type")).casefold(),  # 40: two spellings
        total_accounts=count_of(row.get("total_user_accounts")),
    )


def _server_account(text: str) -> tuple[str, str]:
    """Split `HOST:ID` on its last colon: the host may have a port (24). The id stays a string: it may have any size (17)."""
    host, _, number = text.rpartition(":")
    return host.lower(), number


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for one in value if (text := text_of(one, MAX_ADDRESS))) if isinstance(value, list) else ()
