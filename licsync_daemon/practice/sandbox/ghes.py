"""One GHES instance: its report, its settings, and its routes. It never reveals its server_id."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from licsync_daemon.practice.sandbox.clock import SandboxClock, iso
from licsync_daemon.practice.sandbox.fleet import FleetInstance
from licsync_daemon.practice.sandbox.http import Reply, Request, basic_of, github_error, json_reply, same, token_of
from licsync_daemon.practice.sandbox.http import user as described
from licsync_daemon.practice.sandbox.limits import RateLimit
from licsync_daemon.practice.sandbox.quirks import LICENSE, Quirks
from licsync_daemon.practice.sandbox.reports import Account, read_report

REPORT = "/stafftools/reports/all_users.csv"
USERNAME, ORDINARY_USERNAME = "license-reader", "mona"


class Instance:
    """A GHES instance of the sandbox, and the application on its port.

    `report_ready_after` (seconds) is how long it takes to build the report after the first request; infinity: forever.
    `rate_limit` is None, as on a new GHES, until one is set. `seats_bought` is the number of seats in its license file; `scopes`,
    `token_ends` (as in the header) and `license_ends_in` (days) appear in its responses.
    """

    def __init__(
        self, fleet: FleetInstance, number: int, token: str, ordinary_token: str, quirks: Quirks, *, clock: SandboxClock, seats_bought: int
    ) -> None:
        self.name, self.hostname, self.server_id, self.version = fleet.name, fleet.hostname, fleet.server_id, fleet.version
        self.username, self.token = USERNAME, token
        self.ordinary_username, self.ordinary_token = ORDINARY_USERNAME, ordinary_token
        self.url = ""  # known once the port is open
        self.report_ready_after = 0.1
        self.rate_limit: RateLimit | None = None
        self.seats_bought, self.license_ends_in, self.scopes, self.token_ends = seats_bought, 300, "site_admin", ""
        self._clock = clock
        self._number, self._quirks = number, quirks
        self._lock = threading.Lock()
        self.report = fleet.report
        self._asked_at_s: float | None = None

    @property
    def accounts(self) -> Sequence[Account]:
        return self.report.accounts

    def set_report(self, content: bytes) -> None:
        """Replace the instance's accounts; the next request builds a new report."""
        report = read_report(content)
        with self._lock:
            self.report, self._asked_at_s = report, None

    def as_sent(self) -> list[dict[str, object]]:
        """Return the usage that the instance would send: its unsuspended accounts, by ID."""
        return [account.as_sent() for account in sorted(self.accounts, key=lambda account: account.id) if not account.suspended]

    def __call__(self, request: Request) -> Reply:
        reply = self._route(request)
        return replace(reply, headers=(*reply.headers, ("X-GitHub-Enterprise-Version", self.version)))

    def _route(self, request: Request) -> Reply:
        user = self._user(request)
        if user is None:
            challenge = () if request.path.startswith("/api/") else (("WWW-Authenticate", 'Basic realm="GitHub"'),)
            return github_error(401, "Bad credentials" if "authorization" in request.headers else "Requires authentication", challenge)
        limit = self.rate_limit
        refusal = limit.take() if limit is not None else None
        if refusal is not None:
            return refusal
        reply = self._answer(request, user)
        token = self._token_headers() if request.path.startswith("/api/") else ()
        return replace(reply, headers=(*reply.headers, *token, *(limit.headers() if limit is not None else ())))

    def _token_headers(self) -> tuple[tuple[str, str], ...]:
        ends = (("GitHub-Authentication-Token-Expiration", self.token_ends),) if self.token_ends else ()
        return (("X-OAuth-Scopes", self.scopes), *ends)

    def _user(self, request: Request) -> str | None:
        """Return the user of the credentials. The website accepts HTTP basic only, the API also tokens."""
        basic = basic_of(request)
        token = token_of(request) if request.path.startswith("/api/") else None
        for name, secret in ((self.username, self.token), (self.ordinary_username, self.ordinary_token)):
            if same(token, secret) or (basic is not None and basic[0] == name and same(basic[1], secret)):
                return name
        return None

    def _answer(self, request: Request, user: str) -> Reply:
        routes = {
            REPORT: self._report_reply,
            "/api/v3/enterprise/settings/license": self._license,
            "/api/v3/enterprise/stats/users": self._stats,
        }
        if request.method != "GET":
            return github_error(404, "Not Found")
        if request.path == "/api/v3/meta":
            return json_reply({"verifiable_password_authentication": True, "installed_version": self.version})
        if request.path == "/api/v3/user":
            return json_reply(described(user, site_admin=user == self.username))
        if request.path == "/api/v3/rate_limit" and self.rate_limit is not None:
            core = self.rate_limit.as_json()
            return json_reply({"resources": {"core": core, "search": core}, "rate": core})
        route = routes.get(request.path)
        # Without permission the response is the same as for a missing page.
        return github_error(404, "Not Found") if route is None or user != self.username else route()

    def _report_reply(self) -> Reply:
        with self._lock:
            now = time.monotonic()
            if self._asked_at_s is None:
                self._asked_at_s = now
                return Reply(202)
            if now - self._asked_at_s < self.report_ready_after:
                return Reply(202)
            return Reply(200, self.report.csv, "text/csv; charset=utf-8")

    def _license(self) -> Reply:
        used = self.report.rows - self.report.suspended
        seats = max(self.seats_bought, used)
        ends = (self._clock.now + timedelta(days=self.license_ends_in)).replace(hour=12, minute=41, second=52)
        answer = {
            "seats": seats,
            "seats_used": used,
            "seats_available": seats - used,
            "kind": "standard",
            "days_until_expiration": self.license_ends_in,
            "expire_at": iso(ends),
        }
        return json_reply(self._quirks.apply(LICENSE, answer, self._number))

    def _stats(self) -> Reply:
        report = self.report
        return json_reply({"total_users": report.rows, "admin_users": report.admins, "suspended_users": report.suspended})
