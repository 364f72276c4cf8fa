"""Instructions for a person who uploads usage (delivery `manual`), with GitHub's own labels. Pure.

GitHub documents two ways to sync usage to a cloud account: GitHub Connect, and a person who clicks *Add server usage*. This is the second.
Source: `model/github_labels.py`.
"""

from datetime import datetime
from pathlib import Path
from textwrap import fill
from urllib.parse import urlsplit

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.instance import CloudAccount, Config, Instance, ManualDelivery


def export_name(instance: Instance, collected_at: datetime) -> str:
    """Return the file name of an export in the outbox."""
    return f"usage-{instance.name}-{collected_at:%Y%m%dT%H%M%SZ}.json"


def folder_of(instance: Instance) -> Path | None:
    """Return the instance's folder in the outbox; None without an outbox."""
    to = instance.delivery
    return to.outbox / instance.name if isinstance(to, ManualDelivery) and to.outbox is not None else None


def fleet_of(config: Config) -> str:
    """Return a fleet in words, for the manifests in its outbox: another cloud account or another state is another fleet."""
    account = config.cloud
    return f"{account.enterprise or account.organization} at {account.at.url}, with the state directory {config.state_dir}"


def repair_step(instance: Instance) -> str:
    """Return what to do where what waits in the outbox is gone or changed."""
    return f"do not upload from there; the daemon puts it back at its next check of uploads, or now: $licsync --run-now {instance.name}"


def upload_page(cloud: CloudAccount) -> str:
    """Return the enterprise's web address: on github.com, or on the host of `api_url`."""
    host = urlsplit(cloud.at.url).hostname or ""
    return f"https://{'github.com' if host == 'api.github.com' else host.removeprefix('api.')}/enterprises/{cloud.enterprise}"


def steps(instance: Instance, name: str | None, *, place: str, upload_page: str) -> str:
    """Return the instructions.

    Args:
        instance: The instance to upload usage of.
        name: The file in the outbox; None if the person has to export it.
        place: The location of the file, such as "this folder".
        upload_page: The web address to upload it at.
    """
    export = (
        f"""\
1. Take the file {name}
   from {place}.
   Do not open or change it: it is GitHub's own export, and its user data is
   encrypted."""
        if name is not None
        else f"""\
1. On https://{instance.hostname}/ click your profile photo, then
{_paragraph(f"{github.EXPORT}.")}
   Keep the downloaded JSON file; do not open or change it."""
    )
    return f"""\
License usage of {instance.hostname} ({instance.name}),
to be uploaded by an enterprise owner on GitHub

{export}
2. Go to {upload_page} ;
{_paragraph(f"there, {github.UPLOAD}.")}
3. Select the file. The page then shows "{github.UPLOADED}".

licsync-daemon detects the upload automatically.
To check, run: $licsync status"""


def _paragraph(text: str, indent: str = "   ") -> str:
    """Return a text in lines of at most 76 columns."""
    return fill(text, 76, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
