"""The web address for manual uploads."""

import pytest

from licsync_daemon.model.instance import CloudAccount, Destination
from licsync_daemon.rules.handover import upload_page


def test_the_page_belongs_to_the_interface(subtests: pytest.Subtests) -> None:
    """With data residency an enterprise has a host of its own."""
    for api_url, page in [
        ("https://api.github.com", "https://github.com/enterprises/octo"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com/enterprises/octo"),
    ]:
        with subtests.test(api_url=api_url, page=page):
            assert upload_page(CloudAccount(at=Destination(url=api_url), enterprise="octo")) == page
