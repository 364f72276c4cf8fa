"""A made-up company in the files that its administrator downloads: consumed licenses in every published form, and site-admin reports."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SNAKE = (
    "github_com_login", "github_com_name", "enterprise_server_user_ids", "github_com_user", "enterprise_server_user",
    "visual_studio_subscription_user", "license_type", "github_com_profile", "github_com_member_roles", "github_com_enterprise_roles",
    "github_com_verified_domain_emails", "github_com_saml_name_id", "github_com_orgs_with_pending_invites", "github_com_two_factor_auth",
    "enterprise_server_primary_emails", "visual_studio_license_status", "visual_studio_subscription_email", "total_user_accounts",
)  # fmt: skip
#: The three generations of headers that people have, and the form with data residency.
HEADERS = {
    "snake case": SNAKE,
    "in words": tuple(
        "GitHub com saml name" if name == "github_com_saml_name_id" else name.replace("_", " ").capitalize().replace("Github", "GitHub")
        for name in SNAKE
    ),
    "with cost centers": (
        *(name.replace("_", " ").capitalize().replace("Github", "GitHub") for name in SNAKE), "Cost center", "Ghe license active",
        "GitHub com code security license user",
    ),
    "with data residency": tuple(name.replace("github_com_", "GitHub ").replace("_", " ") for name in SNAKE),
}  # fmt: skip
ACCOUNTS = (
    "created_at", "id", "login", "email", "role", "suspended?", "last_logged_ip", "repos", "ssh_keys", "org_memberships", "dormant?",
    "last_active", "raw_login", "2fa_enabled?",
)  # fmt: skip


def person(login: str = "", **cells: str) -> dict[str, str]:
    """Return a row of the consumed licenses by column."""
    usual = dict.fromkeys(SNAKE, "")
    flags = {"github_com_user": str(bool(login)).lower(), "enterprise_server_user": "false", "visual_studio_subscription_user": "false"}
    return {**usual, **flags, "github_com_login": login, "license_type": "Enterprise", "total_user_accounts": "1", **cells}


#: Mona is on two instances and counted once; Hubot's account at `emea` is counted twice; somebody at `apac` is known only from there.
PEOPLE = (
    person(
        "mona", github_com_name="Mona Lisa Octocat", github_com_verified_domain_emails="mona@corp.example",
        enterprise_server_user_ids="1:emea.corp.example:Member, 1:apac.corp.example:Member", enterprise_server_user="true",
        enterprise_server_primary_emails="mona@corp.example", github_com_member_roles="octo:Owner, tools:Member", total_user_accounts="3",
    ),
    person("hubot-builds", github_com_name="Hubert Boltanski", github_com_saml_name_id="hubert.boltanski@corp.example"),
    person(enterprise_server_user_ids="2:emea.corp.example:Member", enterprise_server_user="true"),
    person(enterprise_server_user_ids="7:apac.corp.example:Member", enterprise_server_user="true", enterprise_server_primary_emails="x@corp.example"),
    person("new@corp.example", github_com_user="false", total_user_accounts="0", github_com_orgs_with_pending_invites="octo"),
    person(visual_studio_subscription_user="true", visual_studio_subscription_email="vs@corp.example", total_user_accounts="0"),
)  # fmt: skip


def consumed(form: str = "snake case", people: Sequence[dict[str, str]] = PEOPLE, *, separator: str = ",", line_end: str = "\r\n") -> str:
    """Return the consumed-licenses CSV in one of `HEADERS`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=line_end)
    writer.writerow(HEADERS[form])
    more = ["R&D", "true", "false"][: len(HEADERS[form]) - len(SNAKE)]
    writer.writerows([*(one[name] for name in SNAKE), *more] for one in people)
    return text.getvalue()


def page(people: Sequence[dict[str, str]] = PEOPLE, **totals: int) -> str:
    """Return the same people as a page of the REST API."""
    users: list[dict[str, Any]] = []
    for one in people:
        user: dict[str, Any] = dict(one)
        for name in ("github_com_member_roles", "github_com_verified_domain_emails", "github_com_orgs_with_pending_invites"):
            user[name] = [part for part in one[name].split(", ") if part]
        ids = [part.split(":") for part in one["enterprise_server_user_ids"].split(", ") if part]
        user["enterprise_server_user_ids"] = [f"{host}:{number}" for number, host, _ in ids]
        user["enterprise_server_emails"] = [part for part in one["enterprise_server_primary_emails"].split(", ") if part]
        del user["enterprise_server_primary_emails"]
        for name in ("github_com_user", "enterprise_server_user", "visual_studio_subscription_user"):
            user[name] = one[name] == "true"
        users.append({**user, "total_user_accounts": int(one["total_user_accounts"]), "github_com_two_factor_auth": ""})
    return json.dumps({"total_seats_consumed": 5, "total_seats_purchased": 6, **totals, "users": users})


def accounts(*rows: tuple[int, str, str], suspended: Iterable[int] = (), separator: str = ",") -> str:
    """Return a site-admin report of (id, login, address)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(ACCOUNTS)
    for number, login, address in rows:
        flag = "true" if number in suspended else "false"
        writer.writerow(["2021-03-04", number, login, address, "user", flag, "", 1, 1, 1, "false", "", json.dumps({"name": login}), "true"])
    return text.getvalue()


EMEA = accounts(
    (1, "mona", "mona@corp.example"), (2, "hboltanski", "hubert.boltanski@old.example"), (3, "gone", "g@corp.example"), suspended=[3]
)
APAC = accounts((1, "mona", "MONA@corp.example"), (7, "nobody-yet", "x@corp.example"))


def company(folder: Path, form: str = "snake case") -> Path:
    """Write the company's files: the consumed licenses, and a folder for each instance."""
    for name, text in (("consumed_licenses-octo.csv", consumed(form)), ("emea/all_users.csv", EMEA), ("apac/all_users.csv", APAC)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder
