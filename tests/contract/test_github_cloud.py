"""The cloud reader over a real server on loopback: the published replies, paging, and refusals."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.cloud import enterprise as github
from licsync_daemon.cloud.enterprise import GithubCloud
from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination
from licsync_daemon.model.usage import Person, SeatTotals
from tests.contract.loopback import Seen, Server, answer, serving
from tests.fakes import FakeClock, Waits

EXAMPLES = json.loads((Path(__file__).parents[1] / "samples" / "openapi" / "ghec-licensing.json").read_text())["paths"]
LICENSES, STATUS = "/enterprises/octo/consumed-licenses", "/enterprises/octo/license-sync-status"


def example(path: str) -> Any:
    reply = EXAMPLES[path.replace("octo", "{enterprise}")]["get"]["responses"]["200"]
    return reply["content"]["application/json"]["examples"]["default"]["value"]


def page(*logins: str, next_page: str | None = None, **totals: int) -> bytes:
    body = json.dumps({**totals, "users": [{"github_com_login": login} for login in logins]}).encode()
    return answer(body=body, **({"link": f'<{next_page}>; rel="next"'} if next_page else {}))


def asked(ask: Callable[[GithubCloud], Any], script: Callable[[Server], None], enterprise: str = "octo") -> tuple[Any, list[str]]:
    """Query a scripted cloud; return the result or the error, and the requested targets."""

    async def main() -> tuple[Any, list[str]]:
        async with serving() as server:
            script(server)
            client = HttpClient(to=Destination(url=server.url), side=Side.CLOUD, authorization=lambda: "Bearer secret")
            async with client:
                try:
                    found = await ask(GithubCloud(enterprise, client, Retrier(FakeClock(), Waits())))
                except RemoteError as error:
                    found = error
            return found, [seen.target for seen in server.seen]

    return asyncio.run(main())


async def everybody(cloud: GithubCloud) -> list[Person]:
    return [person async for person in cloud.people()]


def logins(found: Any) -> list[str]:
    assert isinstance(found, list), found
    return [person.login for person in found]


def test_the_published_sync_status_with_the_replys_own_date() -> None:
    """The response's `Date` header is the cloud's time."""
    reply = answer(body=json.dumps(example(STATUS)).encode(), date="Tue, 24 Nov 2026 02:00:00 GMT")
    found, targets = asked(lambda cloud: cloud.sync_status(), lambda server: server.on(STATUS, reply))
    assert [entry.server_id for entry in found.entries] == ["deadbeef1", "filetoffish1"]
    assert found.answered_at == datetime(2026, 11, 24, 2, tzinfo=UTC)
    assert targets == [STATUS]


def test_a_reply_without_a_date_has_none() -> None:
    """Without the header the cloud's time is unknown."""
    found, _ = asked(lambda cloud: cloud.sync_status(), lambda server: server.on(STATUS, answer(body=b'{"server_instances": []}')))
    assert found.answered_at is None


def test_seats_take_one_small_page() -> None:
    """All pages contain the totals, so the smallest one is requested."""
    reply = answer(body=json.dumps(example(LICENSES)).encode())
    found, targets = asked(lambda cloud: cloud.seats(), lambda server: server.on(LICENSES, reply))
    assert found == SeatTotals(consumed=5000, purchased=4500)
    assert targets == [f"{LICENSES}?per_page=1"]


def test_the_enterprises_name_is_one_part_of_the_path() -> None:
    """A name with a slash or a question mark does not lead elsewhere."""
    _, targets = asked(lambda cloud: cloud.seats(), lambda server: None, enterprise="a/../b?c#d é")
    assert targets == ["/enterprises/a%2F..%2Fb%3Fc%23d%20%C3%A9/consumed-licenses?per_page=1"]


def test_pages_are_followed_to_the_last_by_their_links() -> None:
    """Addresses come from the links alone, and the last page is the one without."""

    def script(server: Server) -> None:
        server.on(f"{LICENSES}?per_page=100", page("a", "b", next_page=f"{server.url}{LICENSES}?cursor=x%2Fy"))
        server.on(f"{LICENSES}?cursor=x%2Fy", page("c", next_page=f"{LICENSES}?cursor=z"))
        server.on(f"{LICENSES}?cursor=z", page("d"))

    found, targets = asked(everybody, script)
    assert logins(found) == ["a", "b", "c", "d"]
    assert targets == [f"{LICENSES}?{query}" for query in ("per_page=100", "cursor=x%2Fy", "cursor=z")]


def test_an_empty_page_is_the_last() -> None:
    """A page without people ends it even when it has a link."""

    def script(server: Server) -> None:
        server.on(LICENSES, page("a", next_page=f"{LICENSES}?page=2"), page(next_page=f"{LICENSES}?page=3"))

    found, targets = asked(everybody, script)
    assert logins(found) == ["a"]
    assert len(targets) == 2


def test_row_34_a_person_who_moved_between_two_pages_comes_once() -> None:
    """People shift while pages are read: the same row on two neighboring pages is one person."""

    def script(server: Server) -> None:
        server.on(LICENSES, page("a", "b", next_page=f"{LICENSES}?page=2"), page("b", "c", next_page=f"{LICENSES}?page=3"), page("c", "d"))

    assert logins(asked(everybody, script)[0]) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("target", ["https://elsewhere.example.com/page=2", f"{LICENSES}?per_page=100"], ids=["elsewhere", "itself"])
def test_a_link_that_may_not_be_followed_ends_in_an_error(target: str) -> None:
    """A partial list is never returned as complete."""
    found, _ = asked(everybody, lambda server: server.on(LICENSES, page("a", next_page=target)))
    assert isinstance(found, RemoteError)
    assert found.code is Code.BAD_RESPONSE


@pytest.mark.parametrize(
    ("ask", "path"), [(lambda cloud: cloud.sync_status(), STATUS), (lambda cloud: cloud.seats(), LICENSES), (everybody, LICENSES)]
)
@pytest.mark.parametrize(
    ("reply", "code", "requests"),
    [
        (answer(401, b'{"message": "Bad credentials"}'), Code.UNAUTHORIZED, 1),
        (answer(403, b'{"message": "Resource protected by organization SAML enforcement."}'), Code.FORBIDDEN, 1),
        (answer(404, b'{"message": "Not Found"}'), Code.NOT_FOUND, 1),
        (answer(410), Code.API_VERSION_RETIRED, 1),
        (answer(body=b"<html>Sign in</html>"), Code.BAD_RESPONSE, 1),
        (answer(body=b"[]"), Code.BAD_RESPONSE, 1),
        (answer(503), Code.SERVER_ERROR, 5),
        (answer(429), Code.RATE_LIMITED, 4),
        (answer(403, retry_after="60"), Code.RATE_LIMITED, 5),
    ],
    ids=["401", "403", "404", "410", "a page", "a list", "503", "429", "403 limited"],
)
def test_refusals(ask: Callable[[GithubCloud], Any], path: str, reply: bytes, code: Code, requests: int) -> None:
    """A permanent error is not retried; a transient one is, within the limits."""
    found, targets = asked(ask, lambda server: server.on(path, reply))
    assert isinstance(found, RemoteError)
    assert (found.code, len(targets)) == (code, requests)


def test_a_page_that_fails_once_is_read_again() -> None:
    """A failure between pages loses no page."""

    def script(server: Server) -> None:
        server.on(LICENSES, page("a", next_page=f"{LICENSES}?page=2"), answer(502), page("b"))

    assert logins(asked(everybody, script)[0]) == ["a", "b"]


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (answer(404, b'{"message": "Not Found"}'), Code.NOT_FOUND),
        (answer(403, b'{"message": "You have exceeded a secondary rate limit"}'), Code.RATE_LIMITED),
        (answer(403, b'{"message": "Must be an enterprise owner"}'), Code.FORBIDDEN),
    ],
    ids=["404 means no owner", "403 means rate limit", "403 means 403"],
)
def test_row_33_refusals_mean_what_github_means(refused: bytes, code: Code) -> None:
    """A 404 does not mean absence; a 403 with a rate-limit message is a rate limit and waited for, the others are not."""
    found, targets = asked(lambda cloud: cloud.sync_status(), lambda server: server.on(STATUS, *[refused] * 5))
    assert (found.code, found.transient) == (code, code is Code.RATE_LIMITED)
    assert len(targets) == (4 if found.transient else 1)  # after 1, 2 and 4 minutes; 8 more would be too long for one run


def test_row_10_an_account_of_two_people_is_told_as_the_cloud_tells_it() -> None:
    """If the cloud attributes one server account to two rows, both are yielded; none is dropped by guessing."""
    rows = [{"github_com_login": login, "enterprise_server_user_ids": ["ghes.example.com:7"]} for login in ("mona", "lisa")]
    body = json.dumps({"users": rows}).encode()
    found, _ = asked(everybody, lambda server: server.on(f"{LICENSES}?per_page=100", answer(body=body)))
    assert [(person.login, person.server_accounts) for person in found] == [
        ("mona", (("ghes.example.com", "7"),)),
        ("lisa", (("ghes.example.com", "7"),)),
    ]


def test_there_is_a_last_page_we_are_willing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless paging is stopped."""
    monkeypatch.setattr(github, "MAX_PAGES", 3)

    def script(server: Server) -> None:
        server.on(f"{LICENSES}?per_page=100", page("p0", next_page=f"{LICENSES}?page=1"))
        for number in range(1, 5):
            server.on(f"{LICENSES}?page={number}", page(f"p{number}", next_page=f"{LICENSES}?page={number + 1}"))

    found, targets = asked(everybody, script)
    assert found.code is Code.TOO_LARGE
    assert len(targets) == 3


def test_pages_that_link_in_a_circle_end_at_once() -> None:
    """Paging never returns to a page."""
    first, second = f"{LICENSES}?per_page=100", f"{LICENSES}?page=2"

    def script(server: Server) -> None:
        server.on(first, page("mona", next_page=second))
        server.on(second, page("lisa", next_page=first))

    found, targets = asked(everybody, script)
    assert found.code is Code.BAD_RESPONSE
    assert targets == [first, second]


def test_an_unchanged_sync_status_is_answered_from_before_with_the_new_date() -> None:
    """A 304 confirms the newest response, with the cloud's time."""
    first = answer(body=json.dumps(example(STATUS)).encode(), date="Tue, 24 Nov 2026 02:00:00 GMT", etag='W/"one"')
    unchanged = answer(304, b"", date="Tue, 24 Nov 2026 02:00:05 GMT", etag='W/"one"', content_type="")
    changed = answer(body=b'{"server_instances": []}', date="Tue, 24 Nov 2026 02:00:10 GMT")
    requests: list[Seen] = []

    def script(server: Server) -> None:
        server.on(STATUS, first, unchanged, unchanged, changed, changed)
        server.seen = requests

    async def five_times(cloud: GithubCloud) -> Any:
        return [await cloud.sync_status() for _ in range(5)]

    found, _ = asked(five_times, script)
    assert [(len(one.entries), one.answered_at.second) for one in found] == [(2, 0), (2, 5), (2, 5), (0, 10), (0, 10)]
    marks = [one.headers.get("if-none-match") for one in requests]
    assert marks == [None, 'W/"one"', 'W/"one"', 'W/"one"', None]  # the last answer had no mark, so there is nothing to compare with


def test_a_304_that_nobody_asked_for_is_refused() -> None:
    """Without an `ETag` no earlier response is reused."""
    found, _ = asked(lambda cloud: cloud.sync_status(), lambda server: server.on(STATUS, answer(304, b"", content_type="")))
    assert isinstance(found, RemoteError)
    assert found.code is Code.REJECTED


@pytest.mark.parametrize(
    "etag", ["", "x" * 300, '"\u00e9tat"', '"\u202e"', '"a\tb"'], ids=["none", "endless", "not ASCII", "bidi", "a tab"]
)
def test_it_works_without_a_usable_mark(etag: str) -> None:
    """Whether the endpoint sends an `ETag` is not published."""
    reply = answer(body=b'{"server_instances": []}', etag=etag)

    async def twice(cloud: GithubCloud) -> Any:
        return [await cloud.sync_status() for _ in range(2)]

    found, targets = asked(twice, lambda server: server.on(STATUS, reply))
    assert [one.entries for one in found] == [(), ()]
    assert len(targets) == 2
