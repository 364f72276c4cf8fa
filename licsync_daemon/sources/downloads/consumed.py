"""The consumed licenses: the CSV report of the Licensing page in each of its published forms, and saved pages of the REST API.

Sources: GitHub's documentation "License reports" and "Troubleshooting license usage", the published REST schema of `consumed-licenses`, and
headers of reports that people made public (compared 2026-11-26). Unknown columns and fields are ignored.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from licsync_daemon.insight.values import Person, Stated
from licsync_daemon.model.errors import InputError
from licsync_daemon.model.text import clean
from licsync_daemon.sources.downloads.table import AGAIN, Table

YES, NO = frozenset({"true", "1", "yes", "t"}), frozenset({"false", "0", "no", "f", ""})
MAX_PAGES_BYTES = 512 * 1024 * 1024  # of one saved response
IDS = "enterprise_server_user_ids"


@dataclass(frozen=True, slots=True)
class ConsumedCsv:
    """The rows of a consumed-licenses CSV as people. May be read again."""

    table: Table

    def __iter__(self) -> Iterator[Person]:
        for line, row in self.table.rows():
            yield self._person(line, {name: self.table.cell(row, name) for name in self.table.columns})

    def _person(self, line: int, cells: Mapping[str, str]) -> Person:
        def flag(name: str) -> bool | None:
            text = cells.get(name)
            if text is None:
                return None
            if text.lower() not in YES | NO:
                raise self.table.error(
                    line, name, f"`{clean(text)[:40]}` is neither true nor false", "download the report again in English"
                )
            return text.lower() in YES

        def words(*names: str) -> tuple[str, ...]:
            return _listed(next((cells[name] for name in names if name in cells), ""))

        total = cells.get("total_user_accounts") or None
        if (total is not None and not total.isascii()) or (total is not None and not total.isdigit()):
            raise self.table.error(line, "total_user_accounts", f"`{clean(total)[:40]}` is not a whole number")
        ids = tuple(self._server_id(line, one) for one in words(IDS))
        return Person(
            login=cells.get("github_com_login", ""),
            name=cells.get("github_com_name", ""),
            saml_name_id=cells.get("github_com_saml_name_id") or cells.get("github_com_saml_name") or "",
            verified_emails=words("github_com_verified_domain_emails"),
            server_ids=ids,
            server_emails=words("enterprise_server_primary_emails", "enterprise_server_emails"),
            enterprise_roles=words("github_com_enterprise_roles", "github_com_enterprise_role"),
            member_roles=words("github_com_member_roles"),
            invitations=words("github_com_orgs_with_pending_invites"),
            license_type=cells.get("license_type", ""),
            in_cloud=flag("github_com_user"),
            on_servers=flag("enterprise_server_user"),
            visual_studio=bool(flag("visual_studio_subscription_user")),
            visual_studio_status=cells.get("visual_studio_license_status", ""),
            visual_studio_email=cells.get("visual_studio_subscription_email", ""),
            cost_center=cells.get("cost_center", ""),
            total_accounts=int(total) if total is not None else None,
        )

    def _server_id(self, line: int, text: str) -> tuple[str, str]:
        found = server_id(text)
        if found is None:
            raise self.table.error(line, IDS, f"`{clean(text)[:60]}` names no account of an instance, such as `71:ghes.example.com:Member`")
        return found


def server_id(text: str) -> tuple[str, str] | None:
    """Return (host, account id) of `ID:HOST:Role` (CSV) or `HOST:ID` (REST), told apart by which part is a number; None for neither."""
    first, _, rest = text.strip().partition(":")
    if first.isdigit() and rest:
        host = rest.rpartition(":")[0] or rest  # the role is last; a host may have a port
        return host.casefold(), first
    host, _, last = text.strip().rpartition(":")
    return (host.casefold(), last) if host and last.isdigit() else None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for one in text.split(",") if (part := one.strip()))


@dataclass(slots=True)
class ConsumedPages:
    """People of saved pages of `GET /enterprises/ENTERPRISE/consumed-licenses`, one object a page, in any number of files."""

    people: list[Person] = field(default_factory=list)
    stated: Stated | None = None

    def __iter__(self) -> Iterator[Person]:
        return iter(self.people)

    def read(self, path: Path) -> bool:
        """Read a file of pages. Return whether it is one: a JSON document, or several after each other, each with `users`.

        Raises:
            InputError: It begins as one and ends in the middle, or is too large.
        """
        if path.stat().st_size > MAX_PAGES_BYTES:
            raise InputError(path, "the file is larger than 512 MiB", "save the pages in several files")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        pages = list(_pages(path, text))
        if not pages or not all(isinstance(page, dict) and isinstance(page.get("users"), list) for page in pages):
            return False
        for page in pages:
            consumed, purchased = (_count(page.get(name)) for name in ("total_seats_consumed", "total_seats_purchased"))
            if self.stated is None and (consumed is not None or purchased is not None):
                self.stated = Stated(consumed=consumed, purchased=purchased)
            self.people += (_from_rest(path, user) for user in page["users"])
        return True


def _pages(path: Path, text: str) -> Iterator[Any]:
    """Yield the documents of a file: pages after each other, or a list of pages."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, getattr(error, "pos", at)) + 1
            raise InputError(path, "the JSON is not valid or was cut off", AGAIN, line) from error
        yield from found if isinstance(found, list) else [found]


def _from_rest(path: Path, user: Any) -> Person:
    if not isinstance(user, dict):
        raise InputError(path, "an entry of `users` is not an object", AGAIN)
    login, name, saml = (_text(user.get(f"github_com_{key}")) for key in ("login", "name", "saml_name_id"))
    emails = user.get("enterprise_server_emails", user.get("enterprise_server_primary_emails"))
    ids = [server_id(one) for one in _texts(user.get(IDS))]
    if None in ids:
        raise InputError(path, "an id of an account names no account of an instance", AGAIN, column=IDS)
    return Person(
        login=login,
        name=name,
        saml_name_id=saml,
        verified_emails=_texts(user.get("github_com_verified_domain_emails")),
        server_ids=tuple(one for one in ids if one is not None),
        server_emails=_texts(emails),
        enterprise_roles=_texts(user.get("github_com_enterprise_roles")),
        member_roles=_texts(user.get("github_com_member_roles")),
        invitations=_texts(user.get("github_com_orgs_with_pending_invites")),
        license_type=_text(user.get("license_type")),
        in_cloud=_flag(user.get("github_com_user")),
        on_servers=_flag(user.get("enterprise_server_user")),
        visual_studio=bool(_flag(user.get("visual_studio_subscription_user"))),
        visual_studio_status=_text(user.get("visual_studio_license_status")),
        visual_studio_email=_text(user.get("visual_studio_subscription_email")),
        cost_center=_text(user.get("cost_center")),
        total_accounts=_count(user.get("total_user_accounts")),
    )


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    values: Iterable[Any] = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(text for one in values if (text := _text(one)))


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return value.lower() in YES if value else None
    return bool(value) if value is not None else None


def _count(value: Any) -> int | None:
    """Return a total; a negative one, a fraction or other text is not reported."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53 else None
