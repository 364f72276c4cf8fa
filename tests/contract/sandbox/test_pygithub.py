"""PyGithub, an independent client, reads the cloud."""

import github
import pytest
from github.Auth import Token


@pytest.mark.parametrize("quirks", ["off", "all"])
def test_pygithub_walks_all_users(make_box, quirks):
    box = make_box(quirks=quirks)
    for name in box.instances:
        box.push(name)
    client = github.Github(auth=Token(box.cloud_token), base_url=box.cloud_api_url, per_page=100, seconds_between_requests=None)
    try:
        licenses = client.get_enterprise(box.enterprise).get_consumed_licenses()
        users = list(licenses.get_users())

        assert licenses.total_seats_consumed == box.cloud.seats() == len(users)
        assert licenses.total_seats_purchased == box.fleet.seats_purchased
        assert {user.github_com_login for user in users} - {""} == {member.login for member in box.fleet.members}
    finally:
        client.close()


def test_pygithub_reads_an_organizations_plan(box):
    box.push("emea")
    client = github.Github(auth=Token(box.cloud_token), base_url=box.cloud_api_url, seconds_between_requests=None)
    try:
        plan = client.get_organization(box.enterprise).plan

        assert (plan.filled_seats, plan.seats) == (box.cloud.seats(), box.fleet.seats_purchased)
    finally:
        client.close()
