"""Fleet folders: read unchanged, or refused with file and reason."""

import json

import pytest

from licsync_daemon.practice.sandbox import FleetError, load_fleet

HEADER = (
    "created_at,id,login,email,role,suspended?,last_logged_ip,repos,ssh_keys,org_memberships,dormant?,last_active,raw_login,2fa_enabled?"
)
ROW = '2020-01-01T08:00:00Z,3,mona,Mona@example.com,admin,false,10.0.0.1,1,1,1,false,,"{""login"": ""mona"",\n ""x"": 1}",true'
INSTANCE = {"name": "emea", "hostname": "ghes-emea.example.com", "server_id": "0-1", "version": "3.19.2"}
FLEET = {"account": "octo-enterprise", "seats_purchased": 5, "verified_domains": ["Example.com"], "instances": [INSTANCE]}
MEMBER = {
    "login": "mona",
    "name": "Mona",
    "verified_emails": ["mona@example.com"],
    "saml_name_id": None,
    "member_roles": [],
    "two_factor": True,
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cloud").mkdir()
    (tmp_path / "emea").mkdir()
    (tmp_path / "fleet.json").write_text(json.dumps(FLEET))
    (tmp_path / "cloud" / "members.json").write_text(json.dumps([MEMBER]))
    (tmp_path / "emea" / "all_users.csv").write_text(f"{HEADER}\n{ROW}\n")
    return tmp_path


def test_it_reads_a_folder(folder):
    fleet = load_fleet(folder)

    (instance,), (member,) = fleet.instances, fleet.members
    assert (fleet.enterprise, fleet.seats_purchased, fleet.verified_domains) == ("octo-enterprise", 5, {"example.com"})
    assert (instance.name, instance.hostname, instance.server_id, instance.version) == ("emea", "ghes-emea.example.com", "0-1", "3.19.2")
    assert instance.report.csv == (folder / "emea" / "all_users.csv").read_bytes()
    (account,) = instance.report.accounts
    assert (account.id, account.login, account.email, account.admin, account.suspended) == (3, "mona", "Mona@example.com", True, False)
    assert (member.login, member.verified_emails, member.saml_name_id) == ("mona", ("mona@example.com",), None)


@pytest.mark.parametrize(
    ("path", "content", "cause"),
    [
        ("fleet.json", None, "fleet.json: no such file"),
        ("fleet.json", "{", "fleet.json: not JSON"),
        ("fleet.json", "[]", "fleet.json: the document is not a JSON object"),
        ("fleet.json", json.dumps({**FLEET, "instances": []}), "no instances"),
        ("fleet.json", json.dumps({**FLEET, "seats_purchased": "5"}), "seats_purchased is not an integer"),
        ("fleet.json", json.dumps({**FLEET, "seats_purchased": True}), "seats_purchased is not an integer"),
        ("fleet.json", json.dumps({k: v for k, v in FLEET.items() if k != "account"}), "fleet.json: account is missing"),
        ("fleet.json", json.dumps({**FLEET, "instances": [{"name": "emea"}]}), "instances[0].hostname is missing"),
        ("fleet.json", json.dumps({**FLEET, "instances": ["emea"]}), "instances[0] is not a JSON object"),
        ("fleet.json", json.dumps({**FLEET, "instances": [INSTANCE, INSTANCE]}), "two instances have the same name"),
        (
            "fleet.json",
            json.dumps({**FLEET, "instances": [{**INSTANCE, "name": "../emea"}]}),
            "instances[0].name '../emea' is not a valid instance name",
        ),
        (
            "fleet.json",
            json.dumps({**FLEET, "instances": [{**INSTANCE, "name": "cloud"}]}),
            "instances[0].name 'cloud' is not a valid instance name",
        ),
        ("cloud/members.json", None, "members.json: no such file"),
        ("cloud/members.json", "{}", "members.json: the document is not a list"),
        ("cloud/members.json", json.dumps([{**MEMBER, "saml_name_id": 5}]), "[0].saml_name_id is neither a string nor null"),
        ("cloud/members.json", json.dumps([{"login": "x"}]), "members.json: [0].name is missing"),
        ("emea/all_users.csv", None, "all_users.csv: no such file"),
        ("emea/all_users.csv", "", "all_users.csv: the header row has no column id"),
        ("emea/all_users.csv", "<html>\n", "the header row has no column id, login, email, role, suspended?"),
        ("emea/all_users.csv", b"\xff\xfe", "all_users.csv: not UTF-8 at byte 0"),
    ],
)
def test_the_file_and_the_reason_are_named(folder, path, content, cause):
    if content is None:
        (folder / path).unlink()
    else:
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(FleetError) as caught:
        load_fleet(folder)

    assert cause in str(caught.value)


def test_a_missing_folder(tmp_path):
    with pytest.raises(FleetError, match="no such folder"):
        load_fleet(tmp_path / "gone")


def test_an_own_report_may_contain_anything_below_its_header(folder):
    content = "\ufeffid,suspended?,role,login,email\r\n7,TRUE,user,a,\r\nx,false,user,b,b@x\r\n8\r\n\r\n99999999999999,no,admin,c,c@x\r\n"
    (folder / "emea" / "all_users.csv").write_bytes(content.encode())

    report = load_fleet(folder).instances[0].report

    assert report.rows == 4
    assert [(a.id, a.suspended, a.email) for a in report.accounts] == [(7, True, ""), (99999999999999, False, "c@x")]
