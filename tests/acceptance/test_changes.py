"""What changed since the last confirmed usage, shown as counts before and after it is sent."""

import csv
import io
import json

from tests.acceptance.support import Site

SAID = "emea: since the last confirmed usage: 1 added, 2 removed, 1 with a changed address, 1 suspended"


def changed(content: bytes) -> bytes:
    """Add one account, remove two, give one another address, suspend one, and rename one, which is no change at all."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    column = {name: number for number, name in enumerate(header)}
    active = [row for row in rows if row[column["suspended?"]] == "false" and row[column["email"]]]
    readdressed, suspended, renamed, *gone = active[:5]
    readdressed[column["email"]] = "person-new@example.com"
    suspended[column["suspended?"]] = "true"
    renamed[column["login"]] = "another-login"
    added = list(gone[0])
    added[column["id"]], added[column["login"]] = "999999", "somebody-new"
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *(row for row in rows if row not in gone), added])
    return text.getvalue().encode()


def test_changes_are_counted_before_and_after_sending(site: Site) -> None:
    """A dry run and `payload --diff` show them and keep nothing; the history keeps them; the next time nothing has changed."""
    assert site.run("--run-now", "emea").code == 0
    assert "since the last confirmed usage" not in site.run("history", "emea").out
    emea = site.box.instances["emea"]
    emea.set_report(changed(emea.report.csv))

    for arguments in (["--run-now", "emea", "--dry-run"], ["payload", "emea", "--diff"]):
        done = site.run(*arguments)
        assert (done.code, SAID in done.out) == (0, True), done.all
    counts = {"added": 1, "removed": 2, "address_changed": 1, "suspended": 1, "unsuspended": 0}
    (dry,) = json.loads(site.run("--run-now", "emea", "--dry-run", "--json").out)["instances"]
    assert dry["changes"] == counts

    assert site.run("--run-now", "emea").code == 0
    assert SAID in site.run("history", "emea").out
    second, first = json.loads(site.run("history", "emea", "--json").out)["runs"]
    assert (second["changes"], first["changes"]) == (counts, None)
    assert "emea: since the last confirmed usage: no changes" in site.run("payload", "emea", "--diff").out
