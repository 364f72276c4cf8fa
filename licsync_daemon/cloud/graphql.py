"""Ask the cloud over GraphQL: which servers it knows, whether they are connected, and what became of their newest uploads.

One endpoint beside REST: `https://api.github.com/graphql`, or `https://api.SUBDOMAIN.ghe.com/graphql`.
Source: https://docs.github.com/en/graphql/guides/managing-enterprise-accounts (checked 2026-11-24). All of it is optional: what the token
may not ask is not known, and nothing else depends on it.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from licsync_daemon.cloud.graphql_decode import Points, read_address, read_connection, read_installation, read_points, read_reply
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.usage import Installation
from licsync_daemon.rules.retry import GiveUp, RetryChoice, Wait, decide

log = structlog.get_logger()

LARGEST_PAGE = 100  # GitHub's own limit
ADDRESSES_AT_ONCE = 5  # of each account; nearly nobody has more, and 100 accounts with 100 each would be too much for one answer
MAX_PAGES = 10_000
POINTS_RESERVED = 200  # of 5,000 an hour: for the enterprise's other programs under the same token's owner
PATIENCE_S = 60.0  # a look at the fleet is not held up for what it can do without

_PAGE = "pageInfo { hasNextPage endCursor }"
INSTALLATIONS = f"""\
query Installations($enterprise: String!, $first: Int!, $after: String) {{
  rateLimit {{ remaining resetAt }}
  enterprise(slug: $enterprise) {{ ownerInfo {{
    enterpriseServerInstallations(first: $first, after: $after, connectedOnly: false) {{
      nodes {{
        id hostName isConnected
        userAccounts(first: 1) {{ totalCount }}
        userAccountsUploads(first: 1, orderBy: {{field: CREATED_AT, direction: DESC}}) {{ nodes {{ syncState createdAt }} }}
      }}
      {_PAGE}
    }}
  }} }}
}}"""
ACCOUNTS = f"""\
query Accounts($id: ID!, $first: Int!, $after: String) {{
  rateLimit {{ remaining resetAt }}
  node(id: $id) {{ ... on EnterpriseServerInstallation {{
    userAccounts(first: $first, after: $after) {{
      nodes {{ id remoteUserId emails(first: {ADDRESSES_AT_ONCE}) {{ nodes {{ email isPrimary }} {_PAGE} }} }}
      {_PAGE}
    }}
  }} }}
}}"""
ADDRESSES = f"""\
query Addresses($id: ID!, $first: Int!, $after: String) {{
  rateLimit {{ remaining resetAt }}
  node(id: $id) {{ ... on EnterpriseServerUserAccount {{
    emails(first: $first, after: $after) {{ nodes {{ email isPrimary }} {_PAGE} }}
  }} }}
}}"""


class PointsLowError(RemoteError):
    """Few points are left: the rest is for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccount:
    """One account of a server as the cloud has it: its id there (as text: it may be any size), and its addresses, primary or not."""

    remote_id: str
    addresses: tuple[tuple[str, bool], ...]


def impatient(error: RemoteError, attempt: int, elapsed_s: float, jitter: float) -> RetryChoice:
    """Try again as everywhere, for a minute at most (the policy of a `Retrier`)."""
    decision = decide(error, attempt, elapsed_s, jitter)
    return GiveUp() if isinstance(decision, Wait) and elapsed_s + decision.seconds > PATIENCE_S else decision


@dataclass(slots=True)
class Graphql:
    """Asks the few questions we have, one page after another."""

    enterprise: str
    http: HttpClient
    retry: Retrier
    _page: int = field(default=LARGEST_PAGE, init=False)

    async def installations(self) -> tuple[Installation, ...] | None:
        """Return every server the cloud knows; None where the token may not ask, or where few points are left.

        A server that GitHub could not show is missing in the answer: of what is not in it nothing is known.

        Raises:
            RemoteError: It could be asked and did not work.
        """
        try:
            found = [read_installation(node) async for node in self._installations()]
        except PointsLowError as error:
            log.warning("cloud.graphql_spared", cause=error.cause, next_step=error.next_step)
            return None
        except RemoteError as error:
            if error.code not in {Code.FORBIDDEN, Code.NOT_FOUND}:
                raise
            log.info("cloud.graphql_not_allowed", cause=error.cause, next_step=error.next_step)
            return None
        return tuple(one for one in found if one is not None)

    async def accounts(self, hostname: str) -> AsyncIterator[ServerAccount]:
        """Yield the accounts that the cloud has of a server, each with all its addresses.

        Raises:
            RemoteError: It may not be asked, or did not work.
        """
        name = hostname.lower()
        servers = [node.get("id") async for node in self._installations() if str(node.get("hostName")).lower() == name]
        for server in servers:
            async for node in self._walk(ACCOUNTS, ("node", "userAccounts"), f"the accounts of {hostname}", id=server):
                yield ServerAccount(remote_id=str(node.get("remoteUserId")), addresses=await self._addresses(node))

    async def _addresses(self, account: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
        """Return every address of an account: those that came with it, and the rest by the pages of the inner connection."""
        operation = "the addresses of an account"
        nodes, more = read_connection(account, ("emails",), operation)
        found = [read_address(node) for node in nodes]
        if more is not None:
            rest = self._walk(ADDRESSES, ("node", "emails"), operation, after=more, id=account.get("id"))
            found += [read_address(node) async for node in rest]
        return tuple(one for one in found if one is not None)

    def _installations(self) -> AsyncIterator[dict[str, Any]]:
        path = ("enterprise", "ownerInfo", "enterpriseServerInstallations")
        return self._walk(INSTALLATIONS, path, f"the servers of {self.enterprise}", enterprise=self.enterprise)

    async def _walk(
        self, query: str, path: Sequence[str], operation: str, *, after: str | None = None, **variables: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the nodes of the connection at `path`, page after page, each page asked for after its forerunner's last cursor."""
        visited: set[str] = set()
        for _ in range(MAX_PAGES):
            data = await self._ask(query, operation, {**variables, "after": after})
            nodes, after = read_connection(data, path, operation)
            for node in nodes:
                yield node
            if after is None:
                return
            if after in visited:
                raise RemoteError(Code.BAD_RESPONSE, f"{operation} go in a circle", "report this with the run's id")
            visited.add(after)
            self._spare(read_points(data), operation)
        raise RemoteError(Code.TOO_LARGE, f"{operation} do not end", "report this with the run's id")

    async def _ask(self, query: str, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Ask one page; where that is too much for the cloud's ten seconds, half as much at the next attempt and from then on."""
        name = query.removeprefix("query ").partition("(")[0]

        async def attempt() -> dict[str, Any]:
            content = json.dumps({"query": query, "operationName": name, "variables": {**variables, "first": self._page}}).encode()
            try:
                async with self.http.query("graphql", content, operation=operation) as response:
                    data, missing = read_reply(await response.json(), response.headers, operation)
            except RemoteError as error:
                if error.status in {502, 504} or error.code in {Code.TIMEOUT, Code.TOO_LARGE}:
                    self._page = max(1, self._page // 2)
                raise
            if missing:
                log.warning("cloud.graphql_incomplete", operation=operation, missing=len(missing), said=missing[0])
            return data

        return await self.retry.call(attempt)

    def _spare(self, points: Points | None, operation: str) -> None:
        """Ask no further page when few points are left."""
        if points is not None and points.remaining < POINTS_RESERVED:
            raise PointsLowError(
                Code.RATE_LIMITED,
                f"{operation} would take points of which only {points.remaining} are left",
                f"nothing to do: there are more from {points.reset_at or 'the next hour'} on",
                transient=True,
            )
