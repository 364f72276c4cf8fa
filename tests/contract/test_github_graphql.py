"""The cloud's GraphQL over a real server on loopback: errors with HTTP 200, nulls, paging, budgets; and over the sandbox."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from licsync_daemon.cloud import graphql
from licsync_daemon.cloud.graphql import Graphql, ServerAccount, impatient
from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination
from licsync_daemon.model.usage import Installation, UploadState
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from tests.contract.loopback import answer, serving
from tests.fakes import FakeClock, Waits

OWNER = {"scopes": "read:enterprise"}


def servers(*nodes: Any, cursor: str | None = None, remaining: int | None = 4999) -> dict[str, Any]:
    page = {"nodes": list(nodes), "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}}
    budget = {} if remaining is None else {"rateLimit": {"remaining": remaining, "resetAt": "2026-11-24T03:00:00Z"}}
    return {"data": {**budget, "enterprise": {"ownerInfo": {"enterpriseServerInstallations": page}}}}


def a_server(host: str = "ghes.example.com", **more: Any) -> dict[str, Any]:
    uploads = {"nodes": [{"syncState": "SUCCESS", "createdAt": "2026-11-23T02:00:00Z"}]}
    return {"id": "I1", "hostName": host, "isConnected": True, "userAccounts": {"totalCount": 3}, "userAccountsUploads": uploads} | more


def refused(kind: str | None, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"errors": [({"type": kind} if kind else {}) | {"message": message} | more]}


def reply(body: dict[str, Any], **headers: str) -> bytes:
    return answer(body=json.dumps(body).encode(), **headers)


def asked(
    *replies: bytes, ask: Callable[[Graphql], Any] = lambda cloud: cloud.installations()
) -> tuple[Any, list[dict[str, Any]], FakeClock]:
    """Query a scripted server; return the result or the error, the variables of each query, and the clock."""
    clock = FakeClock()

    async def main() -> tuple[Any, list[dict[str, Any]], FakeClock]:
        async with serving() as server:
            server.on("/graphql", *replies)
            client = HttpClient(to=Destination(url=server.url), side=Side.CLOUD, authorization=lambda: "Bearer secret")
            async with client:
                try:
                    found = await ask(Graphql("octo", client, Retrier(clock, Waits(), policy=impatient)))
                except RemoteError as error:
                    found = error
            assert {(one.method, one.headers["content-type"]) for one in server.seen} == {("POST", "application/json")}
            bodies = [json.loads(one.body) for one in server.seen]
            assert all(one["query"].startswith(f"query {one['operationName']}(") for one in bodies)
            return found, [one["variables"] for one in bodies], clock

    return asyncio.run(main())


def accounts_of(host: str) -> Callable[[Graphql], Any]:
    async def collect(cloud: Graphql) -> list[ServerAccount]:
        return [one async for one in cloud.accounts(host)]

    return collect


def test_a_server_with_its_newest_upload() -> None:
    """The values arrive as the model has them, and the query names the enterprise by its slug."""
    found, variables, _ = asked(reply(servers(a_server())))
    assert found == (
        Installation(
            hostname="ghes.example.com",
            is_connected=True,
            accounts=3,
            upload_state=UploadState.SUCCESS,
            uploaded_at=datetime(2026, 11, 23, 2, tzinfo=UTC),
        ),
    )
    assert variables == [{"enterprise": "octo", "first": 100, "after": None}]


def test_row_30_pending_and_unknown_states_and_no_upload_at_all() -> None:
    """Of several uploads the newest is requested; an unknown state counts as none."""
    nodes = [
        a_server("a", userAccountsUploads={"nodes": [{"syncState": "PENDING", "createdAt": "2026-11-23T02:00:00Z"}]}),
        a_server("b", userAccountsUploads={"nodes": [{"syncState": "QUEUED", "createdAt": "soon"}]}),
        a_server("c", userAccountsUploads={"nodes": []}),
        a_server("d", userAccountsUploads={"nodes": [None]}),
        a_server("e", userAccountsUploads=None, userAccounts=None, isConnected=None),
    ]
    found, _, _ = asked(reply(servers(*nodes)))
    assert [(one.upload_state, one.uploaded_at is None) for one in found] == [
        (UploadState.PENDING, False),
        (None, True),
        (None, True),
        (None, True),
        (None, True),
    ]
    assert (found[-1].accounts, found[-1].is_connected) == (None, False)


def test_nulls_among_the_nodes_are_passed_over_and_told() -> None:
    """GitHub returns null for an element it could not return, with an error that has its path; the others are used."""
    body = servers(a_server("a"), None, a_server(""), a_server("b"))
    path = ["enterprise", "ownerInfo", "enterpriseServerInstallations", "nodes", 1, "userAccounts"]
    with structlog.testing.capture_logs() as logs:
        found, variables, _ = asked(reply(body | refused("INTERNAL", "Something went wrong", path=path)))
    assert [one.hostname for one in found] == ["a", "b"]
    assert len(variables) == 1
    assert [(one["event"], one["missing"]) for one in logs] == [("cloud.graphql_incomplete", 1)]


def test_what_the_token_may_not_ask_is_not_known(subtests: pytest.Subtests) -> None:
    """The result is None, after one request, and the log has the next step."""
    for name, body in {
        "forbidden": refused("FORBIDDEN"),
        "scopes": refused("INSUFFICIENT_SCOPES"),
        "not found": {"data": {"enterprise": None}} | refused("NOT_FOUND", path=["enterprise"]),
        "no owner": {"data": {"enterprise": {"ownerInfo": None}}},
        "no enterprise": {"data": {"enterprise": None}},
    }.items():
        with subtests.test(name):
            with structlog.testing.capture_logs() as logs:
                found, variables, _ = asked(reply(body))
            assert found is None
            assert len(variables) == 1
            (line,) = logs
            assert (line["event"], "read:enterprise" in line["next_step"] or "cloud.enterprise" in line["next_step"]) == (
                "cloud.graphql_not_allowed",
                True,
            )


@pytest.mark.parametrize("status", [403, 404], ids=["refused", "no such endpoint"])
def test_a_refusal_by_status_means_the_same(status: int) -> None:
    """An address without GraphQL is not an error: nothing depends on it."""
    assert asked(answer(status, b'{"message": "no"}'))[0] is None


def test_bad_credentials_are_an_error() -> None:
    """An invalid token is an error for GraphQL too."""
    assert asked(answer(401))[0].code is Code.UNAUTHORIZED


@pytest.mark.parametrize("kind", ["RATE_LIMITED", "RATE_LIMIT", None], ids=str)
def test_a_rate_limit_comes_with_200_and_is_waited_for(kind: str | None) -> None:
    """The wait comes from the reset in the headers, relative to the response's date."""
    limited = reply(
        refused(kind, "API rate limit exceeded for user ID 1."),
        x_ratelimit_remaining="0",
        x_ratelimit_reset="1795485630",
        date="Tue, 24 Nov 2026 02:00:00 GMT",
    )
    found, variables, clock = asked(limited, reply(servers(a_server())))
    assert len(found) == 1
    assert len(variables) == 2
    assert clock.slept == [30.5]


def test_a_long_rate_limit_ends_the_question() -> None:
    """A wait that would delay a check of the fleet is an error that states the wait."""
    limited = reply(
        refused("RATE_LIMITED"), x_ratelimit_remaining="0", x_ratelimit_reset="1795485660", date="Tue, 24 Nov 2026 02:00:00 GMT"
    )
    found, variables, _ = asked(limited)
    assert (found.code, found.transient, found.retry_after.total_seconds()) == (Code.RATE_LIMITED, True, 60)
    assert len(variables) == 1


def test_a_limit_is_seen_among_other_errors() -> None:
    """Other errors in the same reply may only be its consequence."""
    body = {"errors": [{"type": "NOT_FOUND", "message": "x"}, {"type": "RATE_LIMITED", "message": "y"}]}
    assert asked(reply(body))[0].code is Code.RATE_LIMITED


def test_what_takes_too_long_is_asked_for_in_smaller_pages(subtests: pytest.Subtests) -> None:
    """Every failure halves the page, and later pages stay small."""
    for name, too_much in {
        "502": answer(502, b'{"data": null, "errors": [{"message": "Something went wrong while executing your query."}]}'),
        "504": answer(504),
        "timeout with 200": reply(refused(None, "Something went wrong while executing your query. This may be the result of a timeout.")),
        "resource limit with 200": reply(refused("RESOURCE_LIMITS_EXCEEDED", "Resource limits for this query exceeded.")),
    }.items():
        with subtests.test(name):
            found, variables, _ = asked(too_much, too_much, reply(servers(a_server("a"), cursor="X")), reply(servers(a_server("b"))))
            assert [one.hostname for one in found] == ["a", "b"]
            assert [(one["first"], one["after"]) for one in variables] == [(100, None), (50, None), (25, None), (25, "X")]


def test_other_failures_do_not_make_pages_smaller() -> None:
    """A 500 does not change the page size."""
    _, variables, _ = asked(answer(500), reply(servers()))
    assert [one["first"] for one in variables] == [100, 100]


def test_any_other_error_is_quoted() -> None:
    """A query that GitHub rejects is an error to report, not a missing permission."""
    found, variables, _ = asked(reply(refused(None, "Field 'hostName' doesn't exist on type 'EnterpriseServerInstallation'")))
    assert (found.code, found.transient) == (Code.REJECTED, False)
    assert "hostName" in found.cause
    assert len(variables) == 1


def test_what_is_no_reply_is_an_error(subtests: pytest.Subtests) -> None:
    """An incomplete response is never an empty fleet."""
    for body in (
        [],
        {},
        {"data": []},
        {"data": {}},
        {"data": {"enterprise": {"ownerInfo": {"enterpriseServerInstallations": []}}}},
        {"data": {"enterprise": {"ownerInfo": {"enterpriseServerInstallations": {"nodes": {}, "pageInfo": {}}}}}},
        servers(a_server(), cursor=""),
        {"errors": "no"} | servers() | {"data": None},
        *({"errors": errors} | servers(a_server()) for errors in (5, "", 0, False, {}, {"message": "no"})),
    ):
        with subtests.test(body=body):
            found, _, _ = asked(reply(body))
            assert isinstance(found, RemoteError)
            assert found.code is Code.BAD_RESPONSE


def test_pages_in_a_circle_end() -> None:
    """A repeated cursor ends the paging."""
    found, variables, _ = asked(*(reply(servers(a_server(), cursor=cursor)) for cursor in ("X", "Y", "X")))
    assert found.code is Code.BAD_RESPONSE
    assert [one["after"] for one in variables] == [None, "X", "Y"]


def test_there_is_a_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless paging is stopped."""
    monkeypatch.setattr(graphql, "MAX_PAGES", 2)
    found, variables, _ = asked(*(reply(servers(a_server(), cursor=str(n))) for n in range(4)))
    assert found.code is Code.TOO_LARGE
    assert len(variables) == 2


@pytest.mark.parametrize(("remaining", "known"), [(200, True), (199, False), (None, True)])
def test_the_last_points_are_left_to_others(remaining: int | None, known: bool) -> None:
    """With few points left no further page is requested, and a partial fleet is not returned as complete."""
    with structlog.testing.capture_logs() as logs:
        found, variables, _ = asked(reply(servers(a_server(), cursor="X", remaining=remaining)), reply(servers(a_server("b"))))
    assert (found is not None) is known
    assert len(variables) == (2 if known else 1)
    assert [one["event"] for one in logs] == ([] if known else ["cloud.graphql_spared"])


def test_few_points_matter_only_for_a_further_page() -> None:
    """A received response is used."""
    found, _, _ = asked(reply(servers(a_server(), remaining=0)))
    assert len(found) == 1


def account(number: int, *emails: str, cursor: str | None = None) -> dict[str, Any]:
    page = {"hasNextPage": cursor is not None, "endCursor": cursor}
    nodes = [{"email": email, "isPrimary": n == 0} for n, email in enumerate(emails)]
    return {"id": f"A{number}", "remoteUserId": number, "emails": {"nodes": nodes, "pageInfo": page}}


def accounts(*nodes: Any, cursor: str | None = None) -> dict[str, Any]:
    return {
        "data": {"node": {"userAccounts": {"nodes": list(nodes), "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}}}}
    }


def addresses(*emails: str, cursor: str | None = None) -> dict[str, Any]:
    nodes = [{"email": email, "isPrimary": False} for email in emails]
    return {"data": {"node": {"emails": {"nodes": nodes, "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}}}}}


def test_row_15_an_account_with_more_addresses_than_a_page_holds() -> None:
    """The inner connection is paged by its own cursor, and the outer one continues where it was."""
    found, variables, _ = asked(
        reply(servers(a_server())),
        reply(accounts(account(1, "a@x", "b@x", cursor="E2"), account(2), cursor="P2")),
        reply(addresses("c@x", "d@x", cursor="E4")),
        reply(addresses("e@x")),
        reply(accounts(account(2**40, "z@x"))),
        ask=accounts_of("GHES.example.com"),
    )
    assert found == [
        ServerAccount(remote_id="1", addresses=(("a@x", True), ("b@x", False), ("c@x", False), ("d@x", False), ("e@x", False))),
        ServerAccount(remote_id="2", addresses=()),
        ServerAccount(remote_id=str(2**40), addresses=(("z@x", True),)),
    ]
    assert [(one.get("id"), one["after"]) for one in variables] == [
        (None, None),
        ("I1", None),
        ("A1", "E2"),
        ("A1", "E4"),
        ("I1", "P2"),
    ]


def test_against_the_sandbox() -> None:
    """The servers and accounts are those of the sandbox."""
    box = Sandbox(generate_fleet(seed=5, instances=3, people=400), processing_delay=0.0)

    async def main() -> None:
        client = HttpClient(to=Destination(url=box.cloud_api_url), side=Side.CLOUD, authorization=lambda: f"Bearer {box.cloud_token}")
        async with client:
            cloud = Graphql(box.enterprise, client, Retrier(FakeClock(), Waits()))
            found = await cloud.installations()
            assert found is not None
            assert {one.hostname: (one.is_connected, one.accounts, one.upload_state) for one in found} == {
                emea.hostname: (True, len(emea.as_sent()), UploadState.SUCCESS),
                apac.hostname: (True, 0, None),
            }
            assert len(emea.as_sent()) > 200  # several pages
            told = {one.remote_id: one.addresses async for one in cloud.accounts(emea.hostname)}
            assert told == {
                str(user["id"]): tuple((entry["email"], entry["primary"]) for entry in user["emails"]) for user in emea.as_sent()
            }
            box.cloud_app.token = type(box.cloud_app.token)(box.cloud_token, scopes=())
            assert await cloud.installations() is None

    with box:
        emea, apac = box.instances["emea"], box.instances["apac"]
        box.push("emea")
        box.connect("apac")
        asyncio.run(main())
