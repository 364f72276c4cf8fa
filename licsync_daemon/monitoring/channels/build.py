"""Build the configured channels to people."""

from collections.abc import Iterable

from licsync_daemon.model.instance import MailNotifier, NotifierTo, WebhookNotifier
from licsync_daemon.model.ports import Channel
from licsync_daemon.monitoring.channels.mail import Mail
from licsync_daemon.monitoring.channels.webhook import Webhook
from licsync_daemon.settings.credential_forms import Kind
from licsync_daemon.settings.credentials import Credentials


def mail(to: MailNotifier, credentials: Credentials) -> Mail:
    """Build the channel to people by mail. The password is read for every message."""
    return Mail(to, password=lambda: credentials.text(to.password, Kind.LINE))


def channels(configured: Iterable[NotifierTo], credentials: Credentials) -> tuple[Channel, ...]:
    """Build every configured channel to people. Credentials are read for every message."""

    def build(channel: NotifierTo) -> Channel:
        match channel:
            case MailNotifier():
                return mail(channel, credentials)
            case WebhookNotifier(at=at, secret_path=secret_path):
                return Webhook(
                    at,
                    secret_path=lambda: credentials.optional_text(secret_path, Kind.SECRET_PATH) or "",
                    authorization=lambda: f"Bearer {token}" if (token := credentials.optional_text(at.token, Kind.DELIVERY_TOKEN)) else "",
                    proxy_auth=lambda: credentials.optional_text(at.proxy_auth, Kind.LINE) or "",
                )

    return tuple(build(one) for one in configured)
