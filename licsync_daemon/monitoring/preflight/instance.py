"""Checks of one instance: its reachability, the token's owner and permissions, its release and license; and its SSH source."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from licsync_daemon.http.client import HttpClient
from licsync_daemon.model.decode import count_of, release_of
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import LICENSE_USAGE, Instance, ReportSource, SshSource
from licsync_daemon.model.text import clean
from licsync_daemon.monitoring.preflight.judge_answers import (
    clock_row,
    interface_rows,
    license_rows,
    owner_row,
    token_rows,
    version_of,
    version_rows,
)
from licsync_daemon.monitoring.preflight.probing import About, Probing, ask_object, refusal
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, Place, Rows
from licsync_daemon.sources.ssh import run_there

HELP_WITHIN = timedelta(seconds=15)
HELP_BYTES = 64 * 1024
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # a shell's exit codes
#: Used in the one report from the field that is known, of GHES 3.15: print to standard output, and ask nothing.
REPORTED_OPTIONS = ("-o", "-y")
MOST_OPTIONS = 20
_OPTION = re.compile(r"(?:^|[\s,\[|])(--?[A-Za-z][\w-]{0,30})")


async def report_rows(place: Place, probing: Probing, instance: Instance, report: ReportSource) -> Rows:
    """Yield whether the instance's API serves what a report needs. The report itself is not requested: it is expensive for the instance."""
    async for row in probing.reachability(place, report.at):
        yield row
        if row.outcome is Outcome.FAIL:
            return
    try:
        async with probing.ready(probing.clients.instance(report)) as client:
            async for row in _token_rows(place, probing, instance, report, client):
                yield row
    except RunError as error:
        yield place.failed("token", error)


async def _token_rows(place: Place, probing: Probing, instance: Instance, report: ReportSource, client: HttpClient) -> Rows:
    try:
        user = await ask_object(client, "api/v3/user", f"/api/v3/user of {report.at.url}")
        yield owner_row(place, user, report.username)
        clock = clock_row(place, client.seen.date, probing.clock.now())
        meta = await ask_object(client, "api/v3/meta", f"/api/v3/meta of {report.at.url}")
    except RunError as error:
        yield refusal(place, "token", error)
        return
    version = release_of(meta.get("installed_version")) or client.seen.enterprise_version
    seats = None
    try:
        license_ = await ask_object(client, "api/v3/enterprise/settings/license", f"the license of {report.at.url}")
        yield place.ok("site administrator", "the token's owner is a site administrator")
        for row in license_rows(place, license_, probing.clock.now()):
            yield row
        seats = count_of(license_.get("seats"))
    except RunError as error:
        yield refusal(place, "site administrator", error)
    probing.found.about[instance.name] = About(version, seats)
    for row in version_rows(place, version, instance, probing.config.cloud):
        yield row
    for row in token_rows(place, client.seen, probing.clock.now(), needed="site_admin", credential=report.at.token[0]):
        yield row
    yield clock
    for row in interface_rows(place, client.seen, report.api_version, version_of(version) or (0, 0)):
        yield row


async def ssh_rows(place: Place, probing: Probing, source: SshSource) -> Rows:
    """Yield whether host key, private key and command are right. The command runs with `--help`: no usage is printed."""
    command = " ".join(source.command)
    try:
        private_key = probing.clients.private_key(source)
    except RunError as error:
        yield place.failed("ssh", error)
        return
    asked = (*source.command, "--help")
    helped = replace(source, command=asked, connect_timeout=HELP_WITHIN, timeout=HELP_WITHIN, max_export_bytes=HELP_BYTES)
    by_hand = f"check what this prints: ssh -p {source.port} {source.user}@{source.host} -- {command} --help"
    try:
        ended = await run_there(helped, private_key, again=by_hand)
    except RunError as error:
        if error.code is Code.EXPORT_TOO_LARGE:  # a forced command prints the export whatever the request is
            yield place.ok("ssh", f"host key and private key accepted; {source.host} runs a forced command")
        elif error.code is Code.COMMAND_TIMEOUT:
            yield place.warn("ssh", error.cause, error.next_step)
        else:
            yield place.failed("ssh", error)
        return
    yield place.ok("ssh", f"host key and private key accepted by {source.host}, port {source.port}")
    if ended.code in {NOT_FOUND, NOT_EXECUTABLE}:
        fix = "set the source's `command`: ghe-license-usage up to GHES 3.12, ghe-license usage from 3.13 on"
        yield place.fail("command", f"`{command}` cannot run there: {ended.last_message or ended.code}", fix, Code.COMMAND_FAILED)
    else:
        yield help_row(place, source.command, f"{ended.output.decode(errors='replace')}\n{ended.messages}")


def help_row(place: Place, command: Sequence[str], text: str) -> CheckRow:
    """Return what the `--help` of the command that prints the export says about its options, which GitHub does not document elsewhere."""
    words = " ".join(command)
    options = {found[1]: clean(line.strip(), 80) for line in reversed(text.splitlines()) for found in _OPTION.finditer(line)}
    named = ", ".join(sorted(options)[:MOST_OPTIONS])
    seen = f"`{words}` found; its --help names {named or 'no options'}"
    unused = [one for one in REPORTED_OPTIONS if one in options and one not in command]
    if not unused or not command[0].startswith(LICENSE_USAGE[0]):
        return place.ok("command", seen)
    quoted = "; ".join(f'"{options[one]}"' for one in unused)
    wanted = ", ".join(f'"{word}"' for word in (*command, *unused))
    fix = f"read what --help says: {quoted}; if the export goes to a file otherwise, or a question is asked, set `command` = [{wanted}]"
    return place.warn("command", f"{seen}, and the source's `command` does not use {' and '.join(unused)}", fix)
