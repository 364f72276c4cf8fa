"""`notify --test`: send a test message over every channel and report the results."""

import argparse
import asyncio
import os

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load
from licsync_daemon.model.alert import Message
from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError
from licsync_daemon.model.instance import MailNotifier, NotifierTo
from licsync_daemon.model.ports import Channel
from licsync_daemon.monitoring.alerts import trial
from licsync_daemon.monitoring.channels.build import channels
from licsync_daemon.monitoring.outgoing import SEND_S
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.filelock import this_process
from licsync_daemon.system.process import run_until_signal


def notify(arguments: argparse.Namespace) -> int:
    """Test every channel; return 3 if some failed, 4 if all did."""
    config = load(arguments)
    if not config.notify:
        raise ConfigError((Problem("notify", "no channel is configured", "add [notify.mail] or [notify.webhook]"),), "nothing to test")
    now = SystemClock().now()
    message = trial(machine=this_process(now).host, now=now)
    outgoing = channels(config.notify, credentials_of(config, os.environ))
    failures: list[RunError | None] = []

    async def work() -> int:
        failures.extend(await asyncio.gather(*(_send(channel, message) for channel in outgoing)))
        return Exit.OK

    run_until_signal(work())
    for channel, to, failure in zip(outgoing, config.notify, failures, strict=True):
        if failure is None:
            terminal.about(channel.name, f"test message accepted ({_where(to)})", style="green")
        else:
            terminal.about(channel.name, f"{failure.code}: {failure.cause}", style="red")
            terminal.more(channel.name, f"next step: {failure.next_step}")
    failed = sum(one is not None for one in failures)
    return Exit.OK if not failed else Exit.SOME_FAILED if failed < len(outgoing) else Exit.ALL_FAILED


async def _send(channel: Channel, message: Message) -> RunError | None:
    try:
        async with asyncio.timeout(SEND_S):
            await channel.send(message)
    except RunError as error:
        return error
    except TimeoutError:
        return RunError(Code.TIMEOUT, f"no response within {SEND_S:.0f} s", "check whether the mail server or webhook is slow")
    return None


def _where(to: NotifierTo) -> str:
    if isinstance(to, MailNotifier):
        count = len(to.to)
        return f"{to.host}:{to.port}, for {count} recipient{'s' if count != 1 else ''}"
    return to.at.url.partition("://")[2].partition("/")[0]
