"""The published routes of the cloud: sync status, consumed licenses, and the few a client asks before."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

from licsync_daemon.sandbox.cloud import Cloud
from licsync_daemon.sandbox.http import Reply, Request, github_error, json_reply, same, token_of
from licsync_daemon.sandbox.limits import RateLimit
from licsync_daemon.sandbox.quirks import CONSUMED, SYNC, Quirks
from licsync_daemon.sandbox.seats import Seat

API_VERSIONS = ("2022-11-28", "2026-03-10")
DEFAULT_PER_PAGE, MAX_PER_PAGE = 30, 100


class CloudApp:
    """Answers as the cloud's REST interface. `rate_limit` may be replaced; None takes the limit away."""

    def __init__(self, cloud: Cloud, token: str, rate_limit: RateLimit, quirks: Quirks, base_url: Callable[[], str]) -> None:
        self.cloud, self.token, self.quirks = cloud, token, quirks
        self.rate_limit: RateLimit | None = rate_limit
        self._base_url = base_url

    def __call__(self, request: Request) -> Reply:
        version = request.headers.get("x-github-api-version")
        if version is not None and version not in API_VERSIONS:
            return github_error(400, f"The version {version!r} of the API is not supported.")
        if not same(token_of(request), self.token):
            return github_error(401, "Bad credentials" if "authorization" in request.headers else "Requires authentication")
        limit = self.rate_limit
        if limit is not None and request.path != "/rate_limit" and (refusal := limit.take()) is not None:
            return refusal
        reply = self._route(request)
        extra = (("X-GitHub-Media-Type", "github.v3; format=json"), ("X-GitHub-Api-Version-Selected", version or API_VERSIONS[0]))
        return replace(reply, headers=(*reply.headers, *extra, *(limit.headers() if limit else ())))

    def _route(self, request: Request) -> Reply:
        enterprise = f"/enterprises/{self.cloud.fleet.enterprise}"
        routes: dict[str, Callable[[Request], Reply]] = {
            f"{enterprise}/license-sync-status": self._sync_status,
            f"{enterprise}/consumed-licenses": self._consumed_licenses,
            "/rate_limit": self._rate_limit,
            "/versions": lambda _: json_reply(list(API_VERSIONS)),
            "/meta": lambda _: json_reply({"verifiable_password_authentication": False, "domains": {"website": ["*.github.com"]}}),
        }
        route = routes.get(request.path)
        if route is None or request.method != "GET":
            return github_error(404, "Not Found")
        return route(request)

    def _sync_status(self, _: Request) -> Reply:
        status = self.cloud.sync_status()
        for n, row in enumerate(status["server_instances"]):
            self.quirks.apply(SYNC, row, n)
        return json_reply(status)

    def _rate_limit(self, request: Request) -> Reply:
        core = self.rate_limit.as_json() if self.rate_limit else {"limit": 5000, "remaining": 5000, "reset": 0, "used": 0}
        answer: dict[str, object] = {"resources": {"core": core, "search": core}, "rate": core}
        if request.headers.get("x-github-api-version") == "2026-03-10":
            del answer["rate"]  # left the answer with this version
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

    def _link(self, request: Request, page: int, last: int) -> tuple[tuple[str, str], ...]:
        targets = {"prev": min(page - 1, last), "next": page + 1, "last": last, "first": 1}
        shown = [name for name in targets if (page > 1 if name in {"prev", "first"} else page < last)]
        if not shown:
            return ()
        url = f"{self._base_url()}{request.path}"
        links = (f'<{url}?{urlencode({**request.query, "page": targets[name]})}>; rel="{name}"' for name in shown)
        return (("Link", ", ".join(links)),)

    def _row(self, seat: Seat) -> dict[str, object]:
        """Write one seat in the published fields; `""` for the texts of a server-only person, as the published example has it."""
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
    """Read a paging value as GitHub does: what is no positive number falls back to the default, what is too large is cut."""
    if text is None or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        return default
    return int(text) if largest is None else min(int(text), largest)
