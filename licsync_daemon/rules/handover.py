"""What a person has to do for the delivery `manual`, in GitHub's own labels. Pure.

GitHub documents two ways for usage into a cloud account: GitHub Connect, and a person who presses *Add server usage*. This is the second.
Source: docs.github.com, "Syncing license usage", "Manually uploading license usage" (checked 2026-11-24).
"""

from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from licsync_daemon.model.instance import CloudAccount, Instance, ManualDelivery


def export_name(instance: Instance, collected_at: datetime) -> str:
    """Return the name of the file in which an export waits."""
    return f"usage-{instance.name}-{collected_at:%Y%m%dT%H%M%SZ}.json"


def folder_of(instance: Instance) -> Path | None:
    """Return the instance's own folder in the outbox; None where there is none."""
    to = instance.delivery
    return to.outbox / instance.name if isinstance(to, ManualDelivery) and to.outbox is not None else None


def upload_page(cloud: CloudAccount) -> str:
    """Return the address of the enterprise in the browser: on github.com, or on the host that belongs to `api_url`."""
    host = urlsplit(cloud.at.url).hostname or ""
    return f"https://{'github.com' if host == 'api.github.com' else host.removeprefix('api.')}/enterprises/{cloud.enterprise}"


def steps(instance: Instance, name: str | None, *, place: str, upload_page: str) -> str:
    """Say what to do.

    Args:
        instance: Whose usage it is.
        name: The file that lies ready; None where the person has to export it.
        place: Where it lies, as the reader calls it: "this folder".
        upload_page: Where it goes.
    """
    export = (
        f"1. Take the file {name} from {place}. Do not open or change it: it is GitHub's own export, and its users are encrypted."
        if name is not None
        else f"1. On https://{instance.hostname}/ click your picture, then Enterprise settings > Settings > License, and press\n"
        "   *Export license usage*. Keep the JSON file that is downloaded; do not open or change it."
    )
    return f"""\
License usage of {instance.hostname} ({instance.name}): to be uploaded by an owner of the enterprise

{export}
2. Open {upload_page} , go to Licensing (in older layouts: Settings > Enterprise licensing), and find
   "Enterprise Server Instances".
3. Press *Add server usage*, and choose the file.

licsync-daemon sees by itself that the upload has arrived; look with: $licsync status"""
