"""What a refusal means: each status of each kind of server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.http.advice import Side, refusal
from licsync_daemon.model.errors import Code
from licsync_daemon.model.secrets import redact

DATE = "Tue, 24 Nov 2026 02:00:00 GMT"
EPOCH = int(datetime(2026, 11, 24, 2, 0, tzinfo=UTC).timestamp())

ALL_SIDES = {
    400: (Code.REJECTED, False),
    401: (Code.UNAUTHORIZED, False),
    403: (Code.FORBIDDEN, False),
    404: (Code.NOT_FOUND, False),
    408: (Code.SERVER_ERROR, True),
    409: (Code.REJECTED, False),
    410: (Code.API_VERSION_RETIRED, False),
    413: (Code.REJECTED, False),
    418: (Code.REJECTED, False),
    422: (Code.REJECTED, False),
    429: (Code.RATE_LIMITED, True),
    500: (Code.SERVER_ERROR, True),
    501: (Code.SERVER_ERROR, True),
    502: (Code.SERVER_ERROR, True),
    503: (Code.SERVER_ERROR, True),
    504: (Code.SERVER_ERROR, True),
    599: (Code.SERVER_ERROR, True),
}
ONE_SIDE = {
    (Side.INSTANCE, 503): (Code.MAINTENANCE, True),
    (Side.DELIVERY, 409): (Code.UPLOAD_CONFLICT, False),
    (Side.DELIVERY, 413): (Code.UPLOAD_TOO_LARGE, False),
    (Side.DELIVERY, 422): (Code.UPLOAD_REFUSED, False),
}


def refusals() -> Iterator[tuple[Side, int, Code, bool]]:
    for side in Side:
        for status, usual in ALL_SIDES.items():
            yield side, status, *ONE_SIDE.get((side, status), usual)


def test_every_refusal_has_its_code(subtests: pytest.Subtests) -> None:
    """A status has its meaning for each kind of server; only a temporary failure is transient; no next step looks like a secret."""
    for side, status, code, transient in refusals():
        with subtests.test(side=side, status=status):
            error = refusal(side, "the upload to relay", status, {}, b'{"message": "No luck"}')
            assert (error.code, error.transient, error.status) == (code, transient, status)
            quoted = "" if side is Side.WEBHOOK else ': "No luck"'  # a webhook may repeat its address, part of which is a secret
            assert error.cause == f"the upload to relay returned {status}{quoted}"
            assert error.next_step
            assert redact(error.next_step) == error.next_step


LIMITS: dict[str, tuple[dict[str, str], bytes, timedelta | None]] = {
    "retry-after": ({"retry-after": "30"}, b"", timedelta(seconds=30)),
    "none left": (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 90), "date": DATE}, b"", timedelta(seconds=90),
    ),
    "none left, no reset": ({"x-ratelimit-remaining": "0"}, b"", None),
    "message: secondary limit": ({}, b'{"message": "You have exceeded a secondary rate limit."}', None),
    "message: abuse": ({}, b'{"message": "You have triggered an abuse detection mechanism."}', None),
}  # fmt: skip


def test_a_403_can_be_a_rate_limit(subtests: pytest.Subtests) -> None:
    """GitHub limits with 403 too, sometimes with no sign but the message in the body."""
    for side in Side:
        for name, (headers, body, wait) in LIMITS.items():
            with subtests.test(name, side=side):
                error = refusal(side, "x", 403, headers, body)
                assert (error.code, error.transient, error.retry_after) == (Code.RATE_LIMITED, True, wait)


def test_a_server_error_can_state_a_wait(subtests: pytest.Subtests) -> None:
    """The wait that a 5xx states is carried on the error; a 401 has none."""
    seven = timedelta(seconds=7)
    for side, status, wait in ((Side.INSTANCE, 503, seven), (Side.CLOUD, 503, seven), (Side.CLOUD, 502, seven), (Side.CLOUD, 401, None)):
        with subtests.test(side=side, status=status):
            assert refusal(side, "x", status, {"retry-after": "7"}, b"").retry_after == wait


def test_a_403_of_the_cloud_lists_its_likely_causes() -> None:
    """The next step names the usual causes, in the order to check them: single sign-on for each organization, and a policy on lifetimes."""
    step = refusal(Side.CLOUD, "x", 403, {}, b"").next_step
    places = [
        step.index(word)
        for word in (
            "IP allow list",
            "SSO for each organization",
            "restricts classic tokens",
            "lifetime",
            "expiration date",
            "enterprise owner",
        )
    ]
    assert places == sorted(places)


def test_a_retired_api_version_has_the_one_that_is_supported_as_its_next_step() -> None:
    """410: the cloud and an organization take the next version; an instance from GHES 3.21 on; a relay has no version to set."""
    steps = {side: refusal(side, "x", 410, {}, b"").next_step for side in Side}
    with_version = {side for side, step in steps.items() if 'api_version = "2026-03-10"' in step}
    assert with_version == {Side.CLOUD, Side.ORGANIZATION, Side.INSTANCE}
    assert "GHES 3.21" in steps[Side.INSTANCE]


PAGE = b"<!DOCTYPE html><html><head><title>Access Denied</title></head><body>Blocked by policy</body></html>"
HTML = {"content-type": "text/html; charset=utf-8", "via": "1.1 webgw.example.net"}


@pytest.mark.parametrize("side", [Side.CLOUD, Side.ORGANIZATION, Side.INSTANCE])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 451])
@pytest.mark.parametrize(("headers", "body"), [(HTML, PAGE), ({}, PAGE), (HTML, b""), ({}, b"\n<html>no</html>")])
def test_a_web_page_without_githubs_id_is_something_in_between(side: Side, status: int, headers: dict[str, str], body: bytes) -> None:
    """GitHub gives each request an ID; a filter does not, and the token is not to blame."""
    error = refusal(side, "license-sync-status of octo", status, headers, body)
    assert (error.code, error.transient, error.status) == (Code.BAD_RESPONSE, False, status)
    assert (str(status) in error.cause, "not GitHub's" in error.cause) == (True, True)
    assert ("something in between" in error.next_step, "scope" in error.next_step) == (True, False)
    assert (body != PAGE or '"Access Denied"' in error.cause, "via" not in headers or "webgw.example.net" in error.cause) == (True, True)


@pytest.mark.parametrize(
    ("side", "status", "headers", "body", "code"),
    [
        (Side.CLOUD, 403, {**HTML, "x-github-request-id": "A:B"}, PAGE, Code.FORBIDDEN),
        (Side.CLOUD, 403, {"content-type": "application/json"}, b'{"message": "no"}', Code.FORBIDDEN),
        (Side.INSTANCE, 404, {**HTML, "x-github-request-id": "A:B"}, PAGE, Code.NOT_FOUND),
        (Side.INSTANCE, 503, HTML, PAGE, Code.MAINTENANCE),
        (Side.CLOUD, 502, HTML, PAGE, Code.SERVER_ERROR),
        (Side.DELIVERY, 403, HTML, PAGE, Code.FORBIDDEN),
        (Side.WEBHOOK, 403, HTML, PAGE, Code.FORBIDDEN),
    ],
)
def test_what_is_githubs_own_answer(side: Side, status: int, headers: dict[str, str], body: bytes, code: Code) -> None:
    """Its ID, or JSON; a page of maintenance or of an outage; other servers have no such ID."""
    assert refusal(side, "x", status, headers, body).code is code
