"""The generated fleet: repeatable, with every unusual kind of account."""

import csv
import io

import pytest

from licsync_daemon.practice.sandbox import generate_fleet


def test_the_same_seed_gives_the_same_fleet():
    assert generate_fleet(7, 3, 200) == generate_fleet(7, 3, 200)


def test_it_has_every_unusual_kind_of_account():
    fleet = generate_fleet()
    accounts = [a for i in fleet.instances for a in i.report.accounts]
    rows = [row for i in fleet.instances for row in csv.DictReader(io.StringIO(i.report.csv.decode(), newline=""))]
    cells = [row["raw_login"] for row in rows]

    assert 0.03 < sum(a.suspended for a in accounts) / len(accounts) < 0.07
    assert 0.003 < sum(not a.email for a in accounts) / len(accounts) < 0.02
    assert any(a.email.isupper() for a in accounts)
    assert all("\n" in cell and '"' in cell and "," in cell for cell in cells)
    assert any(not cell.isascii() for cell in cells)
    assert {row["dormant?"] for row in rows} == {"true", "false"}
    assert any(m.saml_name_id and "@" not in m.saml_name_id for m in fleet.members)
    logins = {a.login for a in accounts}
    assert any(m.login not in logins for m in fleet.members)
    assert len(accounts) > len(logins)


@pytest.mark.parametrize("instances", [1, 2, 8])
def test_no_instance_is_empty(instances):
    fleet = generate_fleet(1, instances, 10)

    assert len(fleet.instances) == instances
    assert all(i.report.rows for i in fleet.instances)
