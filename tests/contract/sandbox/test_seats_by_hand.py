"""The number of seats, computed here from the reports and the members."""

import csv
import io


def by_hand(fleet):
    claims = set()
    for member in fleet.members:
        claims.update(email.casefold() for email in member.verified_emails)
        if member.saml_name_id:
            claims.add(member.saml_name_id.casefold())
    others, without = set(), 0
    for instance in fleet.instances:
        for row in csv.DictReader(io.StringIO(instance.report.csv.decode(), newline="")):
            if row["suspended?"] == "true":
                continue
            if not row["email"]:
                without += 1
            elif row["email"].casefold() not in claims:
                others.add(row["email"].casefold())
    return len(fleet.members) + len(others) + without


def test_rows_and_seats_add_up(box, ask, document_of):
    for instance in box.instances.values():
        assert ask.deliver(box, document_of(instance)).status_code == 202

    rows = ask.consumed(box)
    total = ask.cloud(box, "/enterprises/octo-enterprise/consumed-licenses").json()["total_seats_consumed"]

    assert by_hand(box.fleet) == total == len(rows) == box.cloud.seats()
    sent = sum(len(instance.as_sent()) for instance in box.instances.values())
    assert sum(row["total_user_accounts"] for row in rows) == sent + len(box.fleet.members)
    ids = [text for row in rows for text in row["enterprise_server_user_ids"]]
    assert len(ids) == len(set(ids)) == sent
    for instance in box.instances.values():
        assert {f"{instance.hostname}:{user['id']}" for user in instance.as_sent()} == {
            i for i in ids if i.startswith(f"{instance.hostname}:")
        }


def test_a_second_delivery_counts_nothing_twice(box, ask, document_of):
    for _ in range(2):
        for instance in box.instances.values():
            ask.deliver(box, document_of(instance))

    assert by_hand(box.fleet) == box.cloud.seats()


def test_a_smaller_delivery_replaces_the_larger_one(box, ask, document_of):
    emea = box.instances["emea"]
    ask.deliver(box, document_of(emea))

    ask.deliver(box, document_of(emea, users=emea.as_sent()[:5]))

    assert box.cloud.holdings(emea.server_id) == emea.as_sent()[:5]
