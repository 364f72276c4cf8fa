"""Every credential of a configuration is concealed from the start of the process, not only those already used."""

from dataclasses import replace
from pathlib import Path

import pytest

from licsync_daemon.model.instance import CloudAccount, Destination, HttpDelivery, MailNotifier, ReportSource, WebhookNotifier
from licsync_daemon.model.secrets import conceal, forget_all
from licsync_daemon.settings.credential_audit import credentials_of
from tests.fakes import a_config, an_instance


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    forget_all()


def test_every_credential_is_known_before_it_is_used(tmp_path: Path) -> None:
    """Of the cloud, of every instance and endpoint, of proxies and notifiers, in the environment or a file; others that are missing hinder nothing."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o750)
    names = ("src", "counts", "delivery", "proxy", "hook", "hook_path", "hook_proxy", "mail")
    for name in names:
        (folder / name).write_text(("/" if name == "hook_path" else "") + f"{name}-Credential-0123456789\n")
    (folder / "broken").write_bytes(b"\xff")
    report = ReportSource(at=Destination(url="https://ghes.example.com", token=("src",), proxy_auth=("proxy",)), username="reader")
    emea = an_instance(
        source=report,
        counts=replace(report, at=Destination(url="https://ghes.example.com", token=("counts",))),
        delivery=HttpDelivery(at=Destination(url="https://relay.example.com", token=("nowhere", "delivery"))),
    )
    apac = an_instance("apac", source=replace(report, at=Destination(url="https://apac.example.com", token=("broken",))))
    notify = (
        WebhookNotifier(
            at=Destination(url="https://hook.example.com", token=("hook",), proxy_auth=("hook_proxy",)), secret_path=("hook_path",)
        ),
        MailNotifier(host="m", port=25, security="none", sender="a@b.example", to=("c@d.example",), username="u", password=("mail",)),
    )
    cloud = CloudAccount(at=Destination(url="https://api.github.com", token=("cloud__token",)), enterprise="octo")
    config = a_config(emea, apac, cloud=cloud, credentials_dir=folder, notify=notify)
    credentials_of(config, {"LICSYNC_CLOUD__TOKEN": "cloud-Credential-0123456789"})
    for name in (*names, "cloud"):
        assert "Credential" not in conceal(f"API key '{name}-Credential-0123456789' is not known"), name
