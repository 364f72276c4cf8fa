"""Where a person goes."""

import pytest

from licsync_daemon.model.instance import CloudAccount, Destination
from licsync_daemon.rules.handover import upload_page


@pytest.mark.parametrize(
    ("api_url", "page"),
    [
        ("https://api.github.com", "https://github.com/enterprises/octo"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com/enterprises/octo"),
    ],
)
def test_the_page_belongs_to_the_interface(api_url: str, page: str) -> None:
    """With data residency an enterprise has a host of its own."""
    assert upload_page(CloudAccount(at=Destination(url=api_url), enterprise="octo")) == page
