"""Checks of the cloud account: its reachability, the token's owner and permissions, and what a sync reads. One request for each."""

from dataclasses import replace
from urllib.parse import quote

from licsync_daemon.cloud.decode import decode_consumed_page, decode_organization, decode_sync_status
from licsync_daemon.http.client import HttpClient
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import SeatTotals
from licsync_daemon.monitoring.preflight.judge_answers import (
    clock_row,
    domains_row,
    interface_rows,
    owner_row,
    seats_row,
    sso_row,
    token_rows,
)
from licsync_daemon.monitoring.preflight.probing import Probing, ask, ask_object, refusal
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, Place, Rows

CLOUD = Place("cloud")
NO_CLASSIC = f"; the token reports no scopes: {github.CLASSIC_TOKEN}"


async def cloud_rows(probing: Probing) -> Rows:
    """Yield the rows of the cloud account."""
    async for row in probing.reachability(CLOUD, probing.config.cloud.at):
        yield row
        if row.outcome is Outcome.FAIL:
            return
    try:
        async with probing.ready(probing.clients.cloud()) as client:
            async for row in _account_rows(probing, client):
                yield row
    except RunError as error:
        yield CLOUD.failed("token", error)


async def _account_rows(probing: Probing, client: HttpClient) -> Rows:
    account = probing.config.cloud
    try:
        yield owner_row(CLOUD, await ask_object(client, "user", f"/user of {account.at.url}"))
    except RunError as error:
        if error.code not in {Code.FORBIDDEN, Code.NOT_FOUND}:  # a GitHub App's token: the next response decides
            yield refusal(CLOUD, "token", error)
            return
    clock = clock_row(CLOUD, client.seen.date, probing.clock.now())
    reads = _organization(probing, client) if account.organization is not None else _enterprise(probing, client)
    async for row in reads:
        failed = row.outcome is Outcome.FAIL
        yield replace(row, fix=row.fix + NO_CLASSIC) if failed and account.organization is None and client.seen.scopes is None else row
        if failed:
            break
    yield sso_row(CLOUD, client.seen)
    needed = "read:enterprise" if account.organization is None else None
    for row in token_rows(CLOUD, client.seen, probing.clock.now(), needed=needed, credential=account.at.token[0]):
        yield row
    yield clock
    for row in interface_rows(CLOUD, client.seen, account.api_version):
        yield row


async def _enterprise(probing: Probing, client: HttpClient) -> Rows:
    account = probing.config.cloud
    path = f"enterprises/{quote(account.enterprise or '', safe='')}"
    try:
        raw = await ask(client, f"{path}/license-sync-status", f"license-sync-status of {account.enterprise}")
        status = decode_sync_status(raw, client.seen.date)
    except RunError as error:
        yield refusal(CLOUD, "enterprise", error)
        return
    probing.found.status = status
    count = len(status.entries)
    yield CLOUD.ok("enterprise", f"{account.enterprise} lists {count} server{'s' if count != 1 else ''}")
    try:
        raw = await ask(client, f"{path}/consumed-licenses?per_page=100", f"consumed-licenses of {account.enterprise}")
        totals, people = decode_consumed_page(raw)
    except RunError as error:
        yield refusal(CLOUD, "seats", error)
        return
    yield _totals(probing, totals)
    yield domains_row(CLOUD, account.verified_domains, people)


async def _organization(probing: Probing, client: HttpClient) -> Rows:
    login = probing.config.cloud.organization or ""
    try:
        totals = decode_organization(await ask(client, f"orgs/{quote(login, safe='')}", f"the organization {login}"))
    except RunError as error:
        yield refusal(CLOUD, "organization", error)
        return
    yield _totals(probing, totals)


def _totals(probing: Probing, totals: SeatTotals) -> CheckRow:
    probing.found.totals = totals
    return seats_row(CLOUD, totals)
