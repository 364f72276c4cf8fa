"""The published routes of the cloud: sync status, consumed licenses, and a few general ones."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from licsync_daemon.practice.sandbox import graphql
from licsync_daemon.practice.sandbox.cloud import Cloud
from licsync_daemon.practice.sandbox.graphql import GraphqlApp
from licsync_daemon.practice.sandbox.http import Reply, Request, github_error, json_reply, same, token_of, user
from licsync_daemon.practice.sandbox.limits import RateLimit
from licsync_daemon.practice.sandbox.quirks import CONSUMED, SYNC, Quirks
from licsync_daemon.practice.sandbox.seats import Seat

API_VERSIONS = ("2022-11-28", "2026-03-10")
DEFAULT_PER_PAGE, MAX_PER_PAGE = 30, 100


@dataclass(frozen=True, slots=True)
class Token:
    """The cloud's token and its permissions.

    `scopes`: None for a fine-grained token, which reports none (GitHub documents no permission to read licenses; this one has it).
    `owner`: its owner is an owner of the enterprise. `sso`: it is authorized for single sign-on.
    """

    value: str = field(repr=False)
    scopes: tuple[str, ...] | None = ("read:enterprise",)
    owner: bool = True
    sso: bool = True
    expires_at: datetime | None = None

    @property
    def may_read(self) -> bool:
        return self.scopes is None or bool({"read:enterprise", "admin:enterprise"} & set(self.scopes))

    def headers(self) -> tuple[tuple[str, str], ...]:
        expiry = self.expires_at and self.expires_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        scopes = () if self.scopes is None else (("X-OAuth-Scopes", ", ".join(self.scopes)),)
        return (*scopes, *((("GitHub-Authentication-Token-Expiration", expiry),) if expiry else ()))


class CloudApp:
    """The REST and GraphQL APIs of the cloud.

    `rate_limit` can be replaced; None removes the limit. `token` can be replaced too, and `extra_headers`, which are in every response.
    """

    def __init__(
        self, cloud: Cloud, token: Token, *, rate_limit: RateLimit, points: RateLimit, quirks: Quirks, base_url: Callable[[], str]
    ) -> None:
        self.cloud, self.token, self.quirks = cloud, token, quirks
        self.rate_limit: RateLimit | None = rate_limit
        self.graphql = GraphqlApp(cloud, points)
        self.extra_headers: tuple[tuple[str, str], ...] = ()
        self._base_url = base_url

    def __call__(self, request: Request) -> Reply:
        version = request.headers.get("x-github-api-version")
        if version is not None and version not in API_VERSIONS:
            return github_error(400, f"The version {version!r} of the API is not supported.")
        if not same(token_of(request), self.token.value):
            return github_error(401, "Bad credentials" if "authorization" in request.headers else "Requires authentication")
        selected = (("X-GitHub-Media-Type", "github.v3; format=json"), ("X-GitHub-Api-Version-Selected", version or API_VERSIONS[0]))
        reply = self._authorized(request)
        return replace(reply, headers=(*reply.headers, *selected, *self.token.headers(), *self.extra_headers))

    def _authorized(self, request: Request) -> Reply:
        if not self.token.sso:
            sso = (("X-GitHub-SSO", f"required; url=https://github.com/enterprises/{self.cloud.fleet.enterprise}/sso"),)
            return github_error(403, "Resource protected by organization SAML enforcement. You must grant your token access.", sso)
        if request.path == graphql.PATH:
            return self.graphql(request, may=self.token.may_read, owner=self.token.owner)
        limit = self.rate_limit
        if limit is None or request.path == "/rate_limit":
            return self._rest(request)
        if (refusal := limit.take()) is not None:
            return refusal
        reply = self._rest(request)
        if reply.status == 304:
            limit.give_back()
        return replace(reply, headers=(*reply.headers, *limit.headers()))

    def _rest(self, request: Request) -> Reply:
        """Respond to a route; with 304 if the client has the newest response."""
        reply = self._route(request)
        if reply.status != 200:
            return reply
        etag = f'W/"{hashlib.sha256(reply.body).hexdigest()}"'
        if request.headers.get("if-none-match") == etag:
            return Reply(304, headers=(("ETag", etag),))
        return replace(reply, headers=(*reply.headers, ("ETag", etag)))

    def _route(self, request: Request) -> Reply:
        name = self.cloud.fleet.enterprise
        enterprise = f"/enterprises/{name}/"
        routes: dict[str, Callable[[Request], Reply]] = {
            f"{enterprise}license-sync-status": self._sync_status,
            f"{enterprise}consumed-licenses": self._consumed_licenses,
            f"/orgs/{name}": self._organization,
            "/user": lambda _: json_reply(user("octo-owner")),
            "/rate_limit": self._rate_limit,
            "/versions": lambda _: json_reply(list(API_VERSIONS)),
            "/meta": lambda _: json_reply({"verifiable_password_authentication": False, "domains": {"website": ["*.github.com"]}}),
        }
        route = routes.get(request.path)
        hidden = request.path.startswith(enterprise) and not (self.token.may_read and self.token.owner)
        if route is None or request.method != "GET" or hidden:
            return github_error(404, "Not Found")
        return route(request)

    def _organization(self, _: Request) -> Reply:
        """Return an organization with the enterprise's name; without an enterprise, its plan is all that is known of licenses."""
        login, seats = self.cloud.fleet.enterprise, {"filled_seats": self.cloud.seats(), "seats": self.cloud.fleet.seats_purchased}
        plan = {"name": "enterprise", "space": 976562499, "private_repos": 999999, **seats}
        return json_reply({"login": login, "id": 1, "url": f"{self._base_url()}/orgs/{login}", "type": "Organization", "plan": plan})

    def _sync_status(self, _: Request) -> Reply:
        status = self.cloud.sync_status()
        for n, row in enumerate(status["server_instances"]):
            self.quirks.apply(SYNC, row, n)
        return json_reply(status)

    def _rate_limit(self, request: Request) -> Reply:
        core = self.rate_limit.as_json() if self.rate_limit else {"limit": 5000, "remaining": 5000, "reset": 0, "used": 0}
        answer: dict[str, object] = {"resources": {"core": core, "search": core}, "rate": core}
        if request.headers.get("x-github-api-version") == "2026-03-10":
            del answer["rate"]  # not in the response since this version
        return json_reply(answer)

    def _consumed_licenses(self, request: Request) -> Reply:
        per_page = _number(request.query.get("per_page"), DEFAULT_PER_PAGE, MAX_PER_PAGE)
        page = _number(request.query.get("page"), 1, None)
        seats = self.cloud.assigned()
        first = (page - 1) * per_page
        rows = [self.quirks.apply(CONSUMED, self._row(seat), n) for n, seat in enumerate(seats[first : first + per_page], first)]
        totals = {"total_seats_consumed": len(seats), "total_seats_purchased": self.cloud.fleet.seats_purchased}
        last = max(1, -(-len(seats) // per_page))
        return json_reply({**totals, "users": rows}, headers=self._link(request, page, last))

    def all_licenses(self) -> dict[str, object]:
        """Return the consumed licenses as one page, without quirks."""
        seats = self.cloud.assigned()
        totals = {"total_seats_consumed": len(seats), "total_seats_purchased": self.cloud.fleet.seats_purchased}
        return {**totals, "users": [self._row(seat) for seat in seats]}

    def _link(self, request: Request, page: int, last: int) -> tuple[tuple[str, str], ...]:
        targets = {"prev": min(page - 1, last), "next": page + 1, "last": last, "first": 1}
        shown = [name for name in targets if (page > 1 if name in {"prev", "first"} else page < last)]
        if not shown:
            return ()
        url = f"{self._base_url()}{request.path}"
        links = (f'<{url}?{urlencode({**request.query, "page": targets[name]})}>; rel="{name}"' for name in shown)
        return (("Link", ", ".join(links)),)

    def _row(self, seat: Seat) -> dict[str, object]:
        """Return one seat in the published fields; `""` for the texts of a server-only person, as in the published example."""
        member, domains = seat.member, self.cloud.fleet.verified_domains
        shown = [email for email in member.verified_emails if email.rpartition("@")[2].casefold() in domains] if member else []
        return {
            "github_com_login": member.login if member else "",
            "github_com_name": member.name if member else "",
            "enterprise_server_user_ids": [f"{account.hostname}:{account.id}" for account in seat.accounts],
            "github_com_user": member is not None,
            "enterprise_server_user": bool(seat.accounts),
            "visual_studio_subscription_user": False,
            "license_type": "enterprise",
            "github_com_profile": f"https://github.com/{member.login}" if member else "",
            "github_com_member_roles": list(member.member_roles) if member else [],
            "github_com_enterprise_roles": ["member"] if member else [],
            "github_com_verified_domain_emails": shown,
            "github_com_saml_name_id": member.saml_name_id if member else "",
            "github_com_orgs_with_pending_invites": [],
            "github_com_two_factor_auth": member.two_factor if member else None,
            "enterprise_server_emails": list(dict.fromkeys(account.primary for account in seat.accounts if account.primary)),
            "visual_studio_license_status": "",
            "visual_studio_subscription_email": "",
            "total_user_accounts": len(seat.accounts) + (member is not None),
        }


def _number(text: str | None, default: int, largest: int | None) -> int:
    """Parse a paging value as GitHub does: the default if it is not a positive number, and at most `largest`."""
    if text is None or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        return default
    return int(text) if largest is None else min(int(text), largest)
