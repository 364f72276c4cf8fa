"""With quirks off every response fits the published schemas; with quirks on, only the named quirks deviate."""

import re

import pytest

from licsync_daemon.practice.sandbox.quirks import CONSUMED, LICENSE, SYNC, TABLE

CLOUD_PATHS = [
    "/enterprises/{enterprise}/consumed-licenses",
    "/enterprises/{enterprise}/license-sync-status",
    "/meta",
    "/rate_limit",
    "/versions",
]
GHES_PATHS = ["/enterprise/settings/license", "/enterprise/stats/users", "/meta"]
DEVIATING = [quirk.name for quirk in TABLE if quirk.deviates]
ALLOWED = [quirk.name for quirk in TABLE if not quirk.deviates]
PATH_OF = {CONSUMED: CLOUD_PATHS[0], SYNC: CLOUD_PATHS[1], LICENSE: GHES_PATHS[0]}


def answers(ask, box):
    """Return (side, published path, response) of every GET in the schemas; all pages of consumed-licenses."""
    result = []
    for path in CLOUD_PATHS:
        reply = ask.cloud(box, path.format(enterprise=box.enterprise))
        result.append(("ghec", path, reply.json()))
    result.append(("ghec", CLOUD_PATHS[0], {"total_seats_consumed": 0, "total_seats_purchased": 0, "users": ask.consumed(box)}))
    for instance in box.instances.values():
        side = ".".join(instance.version.split(".")[:2])
        result += [(side, path, ask.ghes(instance, f"/api/v3{path}").json()) for path in GHES_PATHS]
    return result


def synced(make_box, quirks):
    box = make_box(quirks=quirks)
    for name in box.instances:
        box.push(name)
    return box


def errors(published, ask, box):
    return [(path, error) for side, path, value in answers(ask, box) for error in published[side].errors(path, value)]


def test_without_quirks_every_response_fits_the_published_schema(make_box, ask, published):
    box = synced(make_box, "off")

    assert errors(published, ask, box) == []


@pytest.mark.parametrize("name", DEVIATING)
def test_a_deviating_quirk_deviates_only_there(make_box, ask, published, name):
    quirk = next(quirk for quirk in TABLE if quirk.name == name)

    found = errors(published, ask, synced(make_box, name))

    assert {path for path, _ in found} == {PATH_OF[quirk.where]}


@pytest.mark.parametrize("name", ALLOWED)
def test_an_allowed_quirk_stays_within_the_schema(make_box, ask, published, name):
    quirk = next(quirk for quirk in TABLE if quirk.name == name)
    with_quirk, without = synced(make_box, name), synced(make_box, "off")

    changed = {
        path
        for (_, path, left), (_, path_, right) in zip(answers(ask, with_quirk), answers(ask, without), strict=True)
        if left != right and path == path_
    }

    assert errors(published, ask, with_quirk) == []
    assert changed - {"/rate_limit", CLOUD_PATHS[1]} == {PATH_OF[quirk.where]}  # those two hold instants


def test_with_all_quirks_only_what_the_table_names_deviates(make_box, ask, published):
    found = errors(published, ask, synced(make_box, "all"))

    named = re.compile(
        r"github_com_two_factor_auth: '' is not of type|'github_com_cost_center'|'github_com_enterprise_role'|'enterprise_server_primary_emails'|'version'"
    )
    assert found
    assert [error for error in found if not named.search(error[1])] == []


def test_quirks_do_not_change_the_number_of_rows(make_box, ask):
    box = synced(make_box, "all")

    assert len(ask.consumed(box)) == box.cloud.seats()


@pytest.mark.parametrize(("path", "status"), [("/enterprises/other/license-sync-status", 404), ("/nothing", 404)])
def test_errors_look_like_githubs(box, ask, path, status):
    reply = ask.cloud(box, path)

    assert status == reply.status_code
    assert reply.json() == {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}
