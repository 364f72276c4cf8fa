"""GraphQL, judged by an independent library: the program's queries fit the published schema, and so do the sandbox's answers to them."""

import json
from pathlib import Path

import graphql
import pytest

from licsync_daemon.cloud.graphql import ACCOUNTS, ADDRESSES, INSTALLATIONS
from licsync_daemon.practice.sandbox import RateLimit

SAMPLES = Path(__file__).parents[2] / "samples" / "graphql"
PUBLISHED = graphql.build_schema("".join((SAMPLES / name).read_text() for name in ("around.graphql", "licensing.graphql")))
OPERATIONS = {"Installations": INSTALLATIONS, "Accounts": ACCOUNTS, "Addresses": ADDRESSES}
NODE_TYPES = {"Accounts": "EnterpriseServerInstallation", "Addresses": "EnterpriseServerUserAccount"}


class Client:
    """Posts operations to a sandbox, and checks each answer against the published schema."""

    def __init__(self, box, http):
        self.box, self.http = box, http

    def post(self, content):
        headers = {"Authorization": f"Bearer {self.box.cloud_token}"}
        reply = self.http.post(f"{self.box.cloud_api_url}/graphql", content=content, headers=headers)
        assert reply.status_code == 200
        return reply.json()

    def ask(self, name, **variables):
        answer = self.post(json.dumps({"query": OPERATIONS[name], "operationName": name, "variables": variables}))
        if "data" in answer:
            assert completed(name, answer["data"], variables) == answer["data"]
        return answer

    def servers(self, first=100):
        answer = self.ask("Installations", enterprise=self.box.enterprise, first=first, after=None)
        return answer["data"]["enterprise"]["ownerInfo"]["enterpriseServerInstallations"]["nodes"]

    def pages(self, name, connection, **variables):
        """Yield the nodes of every page of a node's connection."""
        variables["after"] = None
        while True:
            page = self.ask(name, **variables)["data"]["node"][connection]
            yield page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            variables["after"] = page["pageInfo"]["endCursor"]


def completed(name, data, variables):
    """Let the library complete an answer by the published types: nothing may be missing, wrong, or too much."""
    if data.get("node"):  # GitHub does not send the type of a node unasked, and the library needs it
        data = {**data, "node": {**data["node"], "__typename": NODE_TYPES[name]}}
    result = graphql.graphql_sync(
        PUBLISHED, OPERATIONS[name], root_value=data, variable_values=variables, operation_name=name,
        field_resolver=lambda source, info, **_: source[info.field_name], type_resolver=lambda value, *_: value["__typename"],
    )  # fmt: skip
    assert result.errors is None
    return result.data


@pytest.fixture
def client(box, http):
    return Client(box, http)


def test_the_programs_queries_fit_the_published_schema_and_carry_their_names():
    for name, text in OPERATIONS.items():
        document = graphql.parse(text)
        assert graphql.validate(PUBLISHED, document) == []
        assert [one.name.value for one in document.definitions] == [name]


def test_servers_with_their_connection_accounts_and_uploads(box, client):
    box.connect("emea")
    box.push("apac")
    box.disconnect("apac")
    box.clock.advance(5)
    box.upload("labs")

    found = {node["hostName"]: (node["isConnected"], node["userAccounts"]["totalCount"]) for node in client.servers()}
    states = [[one["syncState"] for one in node["userAccountsUploads"]["nodes"]] for node in client.servers()]

    held = {name: len(box.instances[name].as_sent()) for name in ("apac", "labs")}
    assert found == {
        "ghes-apac.example.com": (False, held["apac"]),
        "ghes-emea.example.com": (True, 0),
        "ghes-labs.example.com": (False, held["labs"]),
    }
    assert states == [["SUCCESS"], [], ["SUCCESS"]]


def test_the_newest_upload_is_shown(box, client):
    box.push("emea")
    box.clock.advance(60)
    box.cloud_app.cloud.processing = type(box.cloud.processing)(mode="failure")
    box.push("emea")

    (node,) = client.servers(first=1)

    assert [one["syncState"] for one in node["userAccountsUploads"]["nodes"]] == ["FAILURE"]


def test_accounts_and_addresses_page_by_page(box, client):
    """Every account is there once, with its addresses; an account of seven comes with five, and its pages have the rest."""
    emea = box.instances["emea"]
    seven = [{"email": f"mona{n}@example.com", "primary": n == 0} for n in range(7)]
    users = [*emea.as_sent(), {"id": 10**9, "emails": seven}]
    box.cloud.receive(emea.server_id, emea.hostname, users)
    (server,) = client.servers()

    accounts = [node for page in client.pages("Accounts", "userAccounts", id=server["id"], first=7) for node in page]

    assert [node["remoteUserId"] for node in accounts] == [user["id"] for user in users]
    assert len(accounts[-1]["emails"]["nodes"]) == 5
    assert accounts[-1]["emails"]["pageInfo"]["hasNextPage"]
    pages = list(client.pages("Addresses", "emails", id=accounts[-1]["id"], first=4))
    assert [len(page) for page in pages] == [4, 3]
    assert [{"email": one["email"], "primary": one["isPrimary"]} for page in pages for one in page] == seven


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "Problems parsing JSON"),
        ("{}", "A query attribute must be specified and must be a string."),
        ({"variables": 7}, "The variables attribute must be an object."),
        ({"operationName": "Members"}, 'No operation named "Members"'),
        ({"variables": {}}, "Could not resolve to a Business with the URL slug of 'None'."),
        ({"first": None}, "Variable $first of type Int! was provided invalid value"),
        ({"first": 101}, "exceeds the `first` limit of 100 records"),
        ({"after": "x"}, "does not appear to be a valid cursor"),
        ({"enterprise": "other"}, "Could not resolve to a Business with the URL slug of 'other'."),
    ],
)
def test_errors_come_with_200(box, client, body, said):
    if isinstance(body, dict):
        variables = {"enterprise": box.enterprise, "first": 1, "after": None}
        top = {name: body[name] for name in ("operationName", "variables") if name in body}
        body = json.dumps({"query": INSTALLATIONS, "operationName": "Installations", "variables": {**variables, **body}, **top})

    answer = client.post(body)

    assert (answer.get("data") or {}).get("enterprise") is None
    assert said in answer["errors"][0]["message"]


@pytest.mark.parametrize("name", ["Accounts", "Addresses"])
def test_an_unknown_node_is_not_found(box, client, name):
    box.push("emea")

    answer = client.ask(name, id="nothing/7", first=1, after=None)

    assert (answer["data"]["node"], answer["errors"][0]["type"]) == (None, "NOT_FOUND")


@pytest.mark.parametrize(
    ("token", "errors", "enterprise"),
    [({"scopes": ["read:org"]}, ["INSUFFICIENT_SCOPES"], None), ({"owner": False}, [], {"ownerInfo": None})],
    ids=["scope", "no owner"],
)
def test_what_a_token_may_not_read(box, ask, client, token, errors, enterprise):
    box.push("emea")
    (server,) = client.servers()
    ask.control(box, "PUT", "token", token)

    answer = client.ask("Installations", enterprise=box.enterprise, first=100, after=None)
    accounts = client.ask("Accounts", id=server["id"], first=100, after=None)

    assert [one["type"] for one in answer.get("errors", ())] == errors
    assert (answer.get("data") or {}).get("enterprise") == enterprise
    assert accounts["data"]["node"] is None


def test_queries_have_their_own_budget_of_points(box, ask, client):
    box.cloud_app.graphql.points = RateLimit(box.clock, 2)
    variables = {"enterprise": box.enterprise, "first": 1, "after": None}

    left = [client.ask("Installations", **variables)["data"]["rateLimit"]["remaining"] for _ in range(2)]
    refused = client.ask("Installations", **variables)

    assert (left, refused["errors"][0]["type"]) == ([1, 0], "RATE_LIMITED")
    assert ask.cloud(box, "/versions").status_code == 200
