"""What a refused request means: status, headers and body of a response become an error code, a cause and a next step."""

import re
from datetime import timedelta
from enum import StrEnum

from licsync_daemon.http.wire import Headers, is_rate_limit, message_of, stated_wait
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.text import clean

TEMPORARY = "usually temporary; retried automatically"


class Side(StrEnum):
    """The kind of server a request goes to, which decides what a refusal means and what to do about it."""

    INSTANCE = "instance"
    CLOUD = "cloud"  # an enterprise
    ORGANIZATION = "organization"
    DELIVERY = "delivery"
    WEBHOOK = "webhook"


_GITHUB = frozenset({Side.INSTANCE, Side.CLOUD, Side.ORGANIZATION})
_UNAUTHORIZED = {
    Side.INSTANCE: (
        "create a classic token with the scope `site_admin` for the configured `username` and put it into the credential file: on the "
        f"instance, {github.CREATE_TOKEN}"
    ),
    Side.CLOUD: (
        "create a classic token with the scope `read:enterprise` as an enterprise owner and put it into `cloud__token`: on GitHub, "
        f"{github.CREATE_TOKEN}"
    ),
    Side.ORGANIZATION: "create a token of an organization owner that may read the organization's plan and put it into `cloud__token`",
    Side.DELIVERY: "ask the operator of the delivery endpoint for a valid token and put it into the delivery's credential file",
    Side.WEBHOOK: "ask the operator of the webhook for a valid token and put it into notify__webhook__token",
}
# Likely causes of a 403 that is not a rate limit. Source: docs.github.com, "Troubleshooting the REST API" and the pages on IP allow lists,
# SSO authorization of tokens and token policies (`model/github_labels.py`).
_FORBIDDEN = {
    Side.INSTANCE: "check that the token's owner is a site administrator and that the token has the scope `site_admin`",
    Side.CLOUD: (
        "check in this order: this machine's egress address is on the enterprise's IP allow list; the token is authorized for SSO for each "
        "organization; a policy neither restricts classic tokens nor refuses the lifetime of this one, or of tokens without an expiration "
        f"date ({github.TOKEN_POLICY.path}); the token's owner is an enterprise owner"
    ),
    Side.ORGANIZATION: (
        "check in this order: this machine's egress address is on the organization's IP allow list; the token is authorized for SSO; "
        "a policy neither restricts tokens of this kind nor refuses the lifetime of this one; the token's owner is an owner of the "
        "organization"
    ),
    Side.DELIVERY: "check that the delivery token may upload usage",
    Side.WEBHOOK: "check that the webhook's token may post",
}
_NOT_FOUND = {
    Side.INSTANCE: f"check the token's owner and scope ({github.NOT_ADMINISTRATOR}), then the hostname",
    Side.CLOUD: "check `cloud.enterprise` and that the token's owner is an owner of it with the scope `read:enterprise`",
    Side.ORGANIZATION: "check `cloud.organization` and that the token's owner is a member of it",
    Side.DELIVERY: "check the delivery's `url`",
    Side.WEBHOOK: "check `notify.webhook.url`, and the credential notify__webhook__secret_path if part of the address is a secret",
}
_RETIRED = {
    Side.INSTANCE: f"{github.newer_version(github.NEXT_VERSION_FROM)} (instances accept it from GHES 3.21 on), or update licsync-daemon",
    Side.CLOUD: f"{github.newer_version()}, or update licsync-daemon",
    Side.ORGANIZATION: f"{github.newer_version()}, or update licsync-daemon",
    Side.DELIVERY: "check the delivery's `url`, or ask the operator of the delivery endpoint for the current address",
    Side.WEBHOOK: "check `notify.webhook.url`, or ask the operator of the webhook for the current address",
}
_OF_A_DELIVERY = {
    409: (Code.UPLOAD_CONFLICT, "the endpoint holds different content under this key: report this to its operator"),
    413: (Code.UPLOAD_TOO_LARGE, "ask the operator of the delivery endpoint to raise its size limit"),
    422: (Code.UPLOAD_REFUSED, "compare `$licsync payload INSTANCE` with docs/delivery-openapi.yaml"),
}


def refusal(side: Side, operation: str, status: int, headers: Headers, body: bytes) -> RemoteError:
    """Return the error for a response with an unexpected status.

    Args:
        side: The kind of server.
        operation: What was requested, for people: "license-sync-status of octo-enterprise".
        status: HTTP status code.
        headers: The response's, keys in lower case.
        body: Its first bytes; GitHub's own message in them is quoted.
    """
    if status < 500 and status not in {408, 429} and is_in_between(side, headers, body):
        return in_between(operation, status, headers, body)
    message = message_of(body)
    quoted = f': "{message}"' if message and side is not Side.WEBHOOK else ""  # a webhook may repeat its address, which may be a secret
    code, next_step, transient = _meaning(side, status, headers, message)
    return RemoteError(
        code,
        f"{operation} returned {status}{quoted}",
        next_step,
        transient=transient,
        retry_after=_retry_after(code, status, headers),
        status=status,
    )


def is_in_between(side: Side, headers: Headers, body: bytes) -> bool:
    """Return whether a device in between answered instead of GitHub: with a web page, and without the ID that GitHub gives each request.

    `X-GitHub-Request-Id` is in every response of GitHub, web pages included.
    """
    is_page = headers.get("content-type", "").strip().lower().startswith(("text/html", "application/xhtml"))
    is_page = is_page or re.match(rb"\s*<(?:!doctype\s+html|html)\b", body.removeprefix(b"\xef\xbb\xbf"), re.IGNORECASE) is not None
    return side in _GITHUB and is_page and "x-github-request-id" not in headers


def in_between(operation: str, status: int, headers: Headers, body: bytes) -> RemoteError:
    """Return the error for the response of a device in between, with what it says of itself."""
    title = re.search(rb"<title[^>]*>([^<]{1,200})", body, re.IGNORECASE)
    shown = f' "{clean(title[1].decode("utf-8", "replace").strip(), 80)}"' if title else ""
    own = next((f" ({name}: {clean(headers[key], 60)})" for key, name in (("via", "Via"), ("server", "Server")) if headers.get(key)), "")
    return RemoteError(
        Code.BAD_RESPONSE,
        f"{operation} returned {status} with a web page{shown} that is not GitHub's{own}: it has no X-GitHub-Request-Id",
        "something in between answered, such as a proxy, a web filter, or a sign-in page: ask your network team to let this machine reach "
        "the address; the token is not the cause",
        status=status,
    )


def _meaning(side: Side, status: int, headers: Headers, message: str) -> tuple[Code, str, bool]:
    """Return code, next step and whether the failure is transient."""
    if is_rate_limit(status, headers, message):
        return Code.RATE_LIMITED, f"{TEMPORARY} once the rate limit resets", True
    if side is Side.DELIVERY and status in _OF_A_DELIVERY:
        return *_OF_A_DELIVERY[status], False
    match status:
        case 401:
            return Code.UNAUTHORIZED, _UNAUTHORIZED[side], False
        case 403:
            return Code.FORBIDDEN, _FORBIDDEN[side], False
        case 404:
            return Code.NOT_FOUND, _NOT_FOUND[side], False
        case 410:
            return Code.API_VERSION_RETIRED, _RETIRED[side], False
        case 503 if side is Side.INSTANCE:
            return Code.MAINTENANCE, "no action needed if maintenance is planned; otherwise check the instance's Management Console", True
        case _ if status == 408 or status >= 500:
            return Code.SERVER_ERROR, TEMPORARY, True
        case _ if side is Side.WEBHOOK:
            return Code.REJECTED, "check `notify.webhook.url`, and that its receiver accepts the format in docs/notifications.md", False
        case _:
            return Code.REJECTED, "check the quoted response; if it does not explain the refusal, report it with the run ID", False


def _retry_after(code: Code, status: int, headers: Headers) -> timedelta | None:
    """Return the wait that the server states, for the statuses where GitHub states one."""
    return stated_wait(headers) if code is Code.RATE_LIMITED or status in {408, 500, 502, 503, 504} else None
