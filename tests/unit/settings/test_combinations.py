"""Sources, counts and deliveries that cannot be used: required options, options of another kind, combinations."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from .conftest import CLOUD, DEFAULTS, EMEA, Load, Refuse

CONNECT = '[defaults]\ndelivery = { kind = "connect" }\n'
MANUAL = '[defaults]\ndelivery = { kind = "manual", outbox = { path = "/srv/outbox" } }\n'
HTTP = '[defaults]\ndelivery = { kind = "http", url = "https://relay.example.com" }\n'
OWN = "instances.emea."
LABS = '\n[instances.labs]\nhostname = "ghes-labs.example.com"\n'


MISTAKES = [
    # required options
    (EMEA, "defaults.delivery", "emea has none of its own", 'delivery = { kind = "connect" }'),
    (HTTP + EMEA, "defaults.source", "emea has none of its own", 'kind = "report", username = "license-reader"'),
    (HTTP + EMEA + 'source.kind = "report"', OWN + "source.username", "missing", 'username = "license-reader"'),
    (HTTP + EMEA + 'source.kind = "file"', OWN + "source.path", "missing", 'path = "/srv/'),
    (HTTP + EMEA + 'source.kind = "command"', OWN + "source.command", "missing", "/usr/local/bin"),
    (CONNECT + EMEA + 'source.username = "x"', OWN + "source.kind", "missing", 'kind = "report"'),
    (CONNECT + 'source.path = "/x"\n' + EMEA, "defaults.source.kind", "emea has none of its own", 'kind = "report"'),
    (DEFAULTS + EMEA + 'delivery = { kind = "http", url = "" }', OWN + "delivery.url", "not a complete address", "https://"),
    (MANUAL.replace(', outbox = { path = "/srv/outbox" }', "") + 'source.kind = "ssh"\n' + EMEA, "defaults.delivery.outbox.path", "emea has none", "outbox = {"),
    (EMEA + 'source.kind = "ssh"\ndelivery.kind = "manual"', OWN + "delivery.outbox.path", "missing", "outbox = {"),
    (MANUAL + EMEA + 'source.kind = "ssh"\ncounts.kind = "report"', OWN + "counts.username", "missing", "license-reader"),
    (MANUAL + EMEA + 'source.kind = "ssh"\ncounts.kind = "file"', OWN + "counts.path", "missing", 'path = "/srv/'),
    (MANUAL + EMEA + 'source.kind = "ssh"\ncounts.username = "x"', OWN + "counts.kind", "missing", 'kind = "report"'),
    (DEFAULTS + EMEA + 'delivery.client_cert = "/dev/null"', OWN + "delivery.client_cert", "require each other", "set both"),
    # which kinds there are
    (CONNECT + EMEA + 'source.kind = "shh"', OWN + "source.kind", "not a valid kind of source", "did you mean ssh?"),
    (CONNECT + EMEA + 'source.kind = "zip"', OWN + "source.kind", "not a valid kind of source", "none, file, report, command or ssh"),
    (EMEA + 'delivery.kind = "email"', OWN + "delivery.kind", "not a valid kind of delivery", "connect, manual or http"),
    (CONNECT + EMEA + 'source.kind = "ssh"\ncounts.kind = "ssh"', OWN + "counts.kind", "not a valid kind of counts", "report or file"),
    (CONNECT + EMEA + 'source.kind = "ssh"\ncounts = "report"', OWN + "counts", "must be a table", 'counts = { kind = "report"'),
    # options of another kind
    (CONNECT + EMEA + 'source = { kind = "ssh", username = "x" }', OWN + "source.username", 'not an option of the source kind "ssh"', "`report`"),
    (CONNECT + EMEA + 'source = { kind = "file", path = "/x", timeout = "5m" }', OWN + "source.timeout", '"file"', "`command` and `ssh`"),
    (CONNECT + EMEA + 'source = { kind = "none", path = "/x" }', OWN + "source.path", 'source kind "none"', "`file`"),
    (EMEA + 'delivery = { kind = "connect", outbox = { path = "/x" } }', OWN + "delivery.outbox", 'delivery kind "connect"', "`manual`"),
    (EMEA + 'delivery = { kind = "manual", url = "https://x.example.com" }', OWN + "delivery.url", 'delivery kind "manual"', "`http`"),
    (CONNECT + EMEA + 'source.kind = "ssh"\ncounts = { kind = "file", path = "/x", api_version = "" }', OWN + "counts.api_version", '"file"', "`report`"),
    (CONNECT + EMEA + 'source.kind = "ssh"\ncounts = { kind = "file", path = "/x", port = 1 }', OWN + "counts.port", "unknown key", ""),
    (MANUAL.replace("kind", 'url = "https://x", kind') + EMEA + LABS, "defaults.delivery.url", 'delivery kind "manual"', "`http`"),
    (MANUAL.replace("kind", 'url = "https://x", kind') + EMEA + 'delivery.kind = "connect"', "defaults.delivery.url", '"manual"', "`http`"),
    # commands are words
    (CONNECT + EMEA + 'source = { kind = "command", command = "/bin/x -y" }', OWN + "source.command", "must be a list of words; no shell", "["),
    (CONNECT + EMEA + 'source = { kind = "ssh", command = "ghe-license usage" }', OWN + "source.command", "no shell", "["),
    (CONNECT + EMEA + 'source = { kind = "ssh", command = ["ghe-license usage"] }', OWN + "source.command", "the program alone", '"ghe-license", "usage"'),
    (CONNECT + EMEA + 'source = { kind = "ssh", command = [] }', OWN + "source.command", "not a valid command", "["),
    (CONNECT + EMEA + 'source = { kind = "ssh", command = ["a\\nb"] }', OWN + "source.command", "not a valid command", "["),
    (CONNECT + EMEA + 'source = { kind = "command", command = ["export"] }', OWN + "source.command", "absolute path", "/usr/local/bin"),
    (CONNECT + EMEA + 'source = { kind = "command", command = ["/nonexistent/x"] }', OWN + "source.command", "no such program", "absolute"),
    # single values
    (CONNECT + EMEA + 'source = { kind = "ssh", port = 0 }', OWN + "source.port", "at least 1", ""),
    (CONNECT + EMEA + 'source = { kind = "ssh", port = 65536 }', OWN + "source.port", "at most 65535", ""),
    (CONNECT + EMEA + 'source = { kind = "ssh", user = "-oProxyCommand=x" }', OWN + "source.user", "Unix user", "admin"),
    (CONNECT + EMEA + 'source = { kind = "ssh", max_export_bytes = 0 }', OWN + "source.max_export_bytes", "at least 1", ""),
    (CONNECT + EMEA + 'source = { kind = "ssh", identity = "key" }', OWN + "source.identity", "absolute", "slash"),
    (CONNECT + EMEA + 'source = { kind = "ssh", identity = "/nonexistent" }', OWN + "source.identity", "no such file", "credential"),
    (EMEA + 'delivery = { kind = "manual", outbox = { path = "x" } }', OWN + "delivery.outbox.path", "absolute", "slash"),
    (EMEA + 'delivery = { kind = "manual", outbox = { path = "/x", group = "no group" } }', OWN + "delivery.outbox.group", "not a valid Unix user or group name", "letters"),
    (EMEA + 'delivery = { kind = "manual", outbox = { path = "/x", group = "no-such-group-here" } }', OWN + "delivery.outbox.group", "no such group", "groupadd"),
    # combinations
    (MANUAL + EMEA + 'source = { kind = "report", username = "x" }', OWN + "source.kind", "use the report as `counts`", '"none"'),
    (MANUAL + 'source = { kind = "report", username = "x" }\n' + EMEA, "defaults.source.kind", "GitHub's own export only", '"none"'),
    (DEFAULTS + EMEA + 'delivery = { kind = "manual" }', OWN + "delivery.kind", "GitHub's own export only", '"none"'),
    (HTTP + EMEA + 'source.kind = "none"', OWN + "source.kind", "`none` collects nothing", 'kind = "report"'),
    (DEFAULTS + EMEA + 'counts = { kind = "file", path = "/x" }', OWN + "counts", "the source here is `report`", "remove it"),
    (CONNECT + EMEA + 'counts = { kind = "file", path = "/x" }', OWN + "counts", "the source here is `none`", "as the `source`"),
    (CONNECT + EMEA + 'source = { kind = "file", path = "/x" }\ncounts = { kind = "file", path = "/x" }', OWN + "counts.path", "need different paths", ""),
    # instances that are never contacted, or never synced
    (DEFAULTS + EMEA + "reachable = false", OWN + "reachable", 'source kind "report"', 'kind = "file"'),
    (CONNECT + EMEA + 'reachable = false\nsource.kind = "ssh"', OWN + "reachable", 'source kind "ssh"', 'kind = "file"'),
    (CONNECT + EMEA + 'reachable = false\nsource = { kind = "command", command = ["/bin/sh"] }', OWN + "reachable", '"command"', ""),
    (CONNECT + EMEA + 'reachable = false\nsource = { kind = "file", path = "/x" }\ncounts = { kind = "report", username = "x" }', OWN + "reachable", 'counts kind "report"', ""),
    (DEFAULTS + EMEA + "sync = false", OWN + "reason", "sync = false requires a reason", "reason ="),
    (DEFAULTS + EMEA + 'reason = "why"', OWN + "reason", "this instance is synced", "sync = false"),
    (DEFAULTS + EMEA + 'sync = false\nreason = " "', OWN + "reason", "one line of text", "reason ="),
    # notifiers
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nfrom = 'a@b'", "notify.mail.to", "missing", "github-admins@"),
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nfrom = 'a@b'\nto = []", "notify.mail.to", "no recipients", "github-admins@"),
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nfrom = 'a b'\nto = ['a@b']", "notify.mail.from", "not a valid email address", "licsync@"),
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nfrom = 'a@b'\nto = ['a']", "notify.mail.to.0", "not a valid email address", "licsync@"),
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nto = ['a@b']", "notify.mail.from", "missing", 'from = "licsync@'),
    (DEFAULTS + EMEA + "[notify.mail]\nfrom = 'a@b'\nto = ['a@b']", "notify.mail.host", "missing", 'host = "smtp'),
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nfrom = 'a@b'\nto = ['a@b']\nsecurity = 'none'", "notify.mail.security", "unencrypted", "starttls"),
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nfrom = 'a@b'\nto = ['a@b']\nsecurity = 'ssl'", "notify.mail.security", "not a valid mail security", "tls"),
    (DEFAULTS + EMEA + "[notify.mail]\nhost = 'h'\nfrom = 'a@b'\nto = ['a@b']\nsender = 'a@b'", "notify.mail.sender", "unknown key", ""),
    (DEFAULTS + EMEA + "[notify.webhook]\n", "notify.webhook.url", "missing", "https://alerts"),
    (DEFAULTS + EMEA + "[notify.webhook]\nurl = 'http://x.example.com'", "notify.webhook.url", "plain http", "https"),
    (DEFAULTS + EMEA + "[notify.webhook]\nurl = 'https://x.example.com/?k=1'", "notify.webhook.url", "query", "webhook__secret_path"),
]  # fmt: skip


def test_a_mistake_is_one_line_with_its_place_and_a_suggestion(refuse: Refuse, subtests: pytest.Subtests) -> None:
    """Each mistake is one problem: where, what, and what to write instead."""
    for text, where, what, hint in MISTAKES:
        with subtests.test(where=where, what=what):
            (problem,) = refuse(CLOUD + text)
            assert where == problem.where
            assert what in problem.what
            assert hint in problem.hint


def test_an_organization_has_no_sync_to_supervise(refuse: Refuse, subtests: pytest.Subtests) -> None:
    """With an organization what Connect or a person does cannot be confirmed, so it is refused, once for the defaults."""
    for kind in ["connect", "manual"]:
        with subtests.test(kind=kind):
            organization = '[cloud]\norganization = "octo-org"\n'
            (problem,) = refuse(f'{organization}[defaults]\ndelivery = {{ kind = "{kind}" }}\n{EMEA}{LABS}')
            assert (problem.where, problem.hint) == ("defaults.delivery.kind", 'use kind = "http", or set the enterprise in [cloud]')
            assert "no sync status for an organization" in problem.what


def test_a_mistake_in_the_defaults_is_reported_once(refuse: Refuse) -> None:
    """What every instance takes from the defaults is reported in [defaults]."""
    (problem,) = refuse(CLOUD + MANUAL + 'source = { kind = "report", username = "x" }\n' + EMEA + LABS)
    assert problem.where == "defaults.source.kind"


def test_an_instance_that_is_never_synced_needs_nothing(load: Load) -> None:
    """An instance that is never synced needs no source and no delivery, and what it has of them is not judged."""
    text = '[cloud]\norganization = "octo-org"\n' + EMEA + 'sync = false\nreason = "stays on site"\ndelivery.kind = "connect"'
    assert load(text).config.instances[0].unsynced_because == "stays on site"


def test_a_flag_that_is_off_by_variable_is_off(refuse: Refuse, load: Load) -> None:
    """`false` from the environment counts as it does in the file."""
    (problem,) = refuse(CLOUD + DEFAULTS + EMEA, LICSYNC_INSTANCES__EMEA__REACHABLE="False")
    assert problem.where == "LICSYNC_INSTANCES__EMEA__REACHABLE"
    off = {"LICSYNC_INSTANCES__EMEA__SYNC": "0", "LICSYNC_INSTANCES__EMEA__REASON": "stays on site"}
    assert load(CLOUD + EMEA, **off).config.instances[0].unsynced_because == "stays on site"


def test_the_examples_in_hints_are_real_ones(refuse: Refuse) -> None:
    """The examples in hints are TOML."""
    for text in (EMEA, HTTP + EMEA, CLOUD + HTTP + EMEA + 'source.kind = "command"'):
        for problem in refuse(text if text.startswith(CLOUD) else CLOUD + text):
            assert tomllib.loads(problem.hint.rpartition(": ")[2].removeprefix("for example "))


def test_only_the_daemons_user_may_read_a_key(load: Load, refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private key that this user cannot read is accepted, because other users run commands too; a certificate is not."""
    denied = tmp_path / "denied.pem"
    really_open = Path.open

    def open_or_deny(path: Path, *arguments: Any, **more: Any) -> Any:
        if path == denied:
            raise PermissionError(13, "Permission denied")
        return really_open(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", open_or_deny)
    text = CLOUD + CONNECT + EMEA + f'source = {{ kind = "ssh", identity = "{denied}", known_hosts = "/dev/null" }}\n'
    assert load(text).config.instances[0].source.private_key == denied
    (problem,) = refuse(text + f'ca_file = "{denied}"')
    assert (problem.where, "permission denied" in problem.what) == ("instances.emea.ca_file", True)
