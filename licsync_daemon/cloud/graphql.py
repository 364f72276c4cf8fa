"""Query the cloud over GraphQL: its servers, whether they are connected, and the state of their newest uploads.

The endpoint: `https://api.github.com/graphql`, or `https://api.SUBDOMAIN.ghe.com/graphql`.
Source: https://docs.github.com/en/graphql/guides/managing-enterprise-accounts (checked 2026-11-24). All of this is optional:
without the token's permission it stays unknown, and nothing else depends on it.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from licsync_daemon.cloud.decode import MAX_SERVERS
from licsync_daemon.cloud.graphql_decode import Points, read_address, read_connection, read_installation, read_points, read_reply
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.usage import Installation
from licsync_daemon.rules.retry import GiveUp, RetryChoice, Wait, decide

log = structlog.get_logger()

LARGEST_PAGE = 100  # GitHub's own limit
ADDRESSES_AT_ONCE = 5  # of each account; few accounts have more, and 100 accounts with 100 each are too many for one response
MAX_PAGES = 10_000
POINTS_RESERVED = 200  # of 5,000 an hour: left for other programs of the same token's owner
PATIENCE_S = 60.0  # optional data does not delay a check of the fleet any longer

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
    """Few points are left, which are reserved for other programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccount:
    """One account of a server in the cloud: its id on the server (a string of any size), and its addresses with whether each is primary."""

    remote_id: str
    addresses: tuple[tuple[str, bool], ...]


def impatient(error: RemoteError, attempt: int, elapsed_s: float, jitter: float) -> RetryChoice:
    """Decide as `decide` does, but retry for a minute at most (the policy of a `Retrier`)."""
    choice = decide(error, attempt, elapsed_s, jitter)
    return GiveUp() if isinstance(choice, Wait) and elapsed_s + choice.seconds > PATIENCE_S else choice


@dataclass(slots=True)
class Graphql:
    """Runs the queries of this program, page by page."""

    enterprise: str
    http: HttpClient
    retry: Retrier
    _page: int = field(default=LARGEST_PAGE, init=False)

    async def installations(self) -> tuple[Installation, ...] | None:
        """Return every server the cloud knows; None without the permission, or if few points are left.

        A server that GitHub could not return is missing from the result, so absence means nothing.

        Raises:
            RemoteError: The query is allowed and failed.
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
        """Yield the cloud's accounts of a server, each with all its addresses.

        Raises:
            RemoteError: The query is not allowed, or failed.
        """
        name = hostname.lower()
        servers = [node.get("id") async for node in self._installations() if str(node.get("hostName")).lower() == name]
        for server in servers:
            async for node in self._walk(ACCOUNTS, ("node", "userAccounts"), f"the accounts of {hostname}", id=server):
                yield ServerAccount(remote_id=str(node.get("remoteUserId")), addresses=await self._addresses(node))

    async def _addresses(self, account: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
        """Return all addresses of an account: those that came with it, and the further pages of the inner connection."""
        operation = "the addresses of an account"
        nodes, more = read_connection(account, ("emails",), operation)
        found = [read_address(node) for node in nodes]
        if more is not None:
            rest = self._walk(ADDRESSES, ("node", "emails"), operation, after=more, id=account.get("id"))
            found += [read_address(node) async for node in rest]
        return tuple(one for one in found if one is not None)

    async def _installations(self) -> AsyncIterator[dict[str, Any]]:
        path, operation = ("enterprise", "ownerInfo", "enterpriseServerInstallations"), f"the servers of {self.enterprise}"
        left = MAX_SERVERS
        async for node in self._walk(INSTALLATIONS, path, operation, enterprise=self.enterprise):
            left -= 1
            if left < 0:
                raise RemoteError(
                    Code.TOO_LARGE,
                    f"{operation} are more than {MAX_SERVERS:,}",
                    "ask GitHub Support why the enterprise lists so many servers",
                )
            yield node

    async def _walk(
        self, query: str, path: Sequence[str], operation: str, *, after: str | None = None, **variables: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the nodes of the connection at `path`, page by page, each after the previous page's last cursor."""
        visited: set[str] = set()
        for _ in range(MAX_PAGES):
            data = await self._ask(query, operation, {**variables, "after": after})
            nodes, after = read_connection(data, path, operation)
            for node in nodes:
                yield node
            if after is None:
                return
            if after in visited:
                raise RemoteError(Code.BAD_RESPONSE, f"the pages of {operation} form a loop", "report this with the run ID")
            visited.add(after)
            self._spare(read_points(data), operation)
        raise RemoteError(Code.TOO_LARGE, f"{operation} have too many pages", "report this with the run ID")

    async def _ask(self, query: str, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Request one page. If it exceeds GitHub's ten seconds, halve the page size for the next attempt and all later pages."""
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
        """Stop before the next page if few points are left."""
        if points is not None and points.remaining < POINTS_RESERVED:
            raise PointsLowError(
                Code.RATE_LIMITED,
                f"{operation} stopped: only {points.remaining} points of the GraphQL rate limit are left",
                f"no action needed: the rate limit resets {f'at {points.reset_at}' if points.reset_at else 'within an hour'}",
                transient=True,
            )
