"""GraphQL of the sandbox, judged by an independent library: our queries fit the published schema, and so does every answer to them."""

import json
from pathlib import Path

import graphql
import pytest

from licsync_daemon.cloud.graphql import ACCOUNTS, ADDRESSES, INSTALLATIONS
from licsync_daemon.practice.sandbox import RateLimit
from licsync_daemon.practice.sandbox.schema import SCHEMA

SAMPLES = Path(__file__).parents[2] / "samples" / "graphql"
PUBLISHED = graphql.build_schema("".join((SAMPLES / name).read_text() for name in ("around.graphql", "licensing.graphql")))


@pytest.fixture
def query(http):
    def post(box, text, **variables):
        headers = {"Authorization": f"Bearer {box.cloud_token}"}
        reply = http.post(f"{box.cloud_api_url}/graphql", json={"query": text, "variables": variables}, headers=headers)
        assert reply.status_code == 200
        return reply.json()

    return post


def fitted(text, answer, variables):
    """Let the library complete the sandbox's answer by the published types; return what comes out, which must be the same."""
    resolve_type = lambda value, *_: value["__typename"]  # noqa: E731
    result = graphql.graphql_sync(
        PUBLISHED, text, root_value=answer["data"], variable_values=variables, field_resolver=read_field, type_resolver=resolve_type
    )
    assert result.errors is None
    return result.data


def read_field(source, info, **_):
    return source[info.field_name]


def typed(value, name):
    """Say of a node what it is: the library needs it for the interface, and GitHub does not send it unasked."""
    return {**value, "data": {**value["data"], "node": {**value["data"]["node"], "__typename": name}}}


@pytest.mark.parametrize("text", [INSTALLATIONS, ACCOUNTS, ADDRESSES], ids=["installations", "accounts", "addresses"])
def test_our_queries_fit_the_published_schema(text):
    assert graphql.validate(PUBLISHED, graphql.parse(text)) == []


def test_the_sandbox_knows_no_field_that_is_not_published():
    for kind, shown in SCHEMA.items():
        assert set(shown) <= set(PUBLISHED.type_map[kind].fields), kind


def test_servers_are_answered_in_the_published_types(box, query):
    box.connect("emea")
    box.push("apac")
    box.disconnect("apac")
    box.clock.advance(5)
    box.upload("labs")
    variables = {"enterprise": box.enterprise, "first": 100, "after": None}

    answer = query(box, INSTALLATIONS, **variables)

    assert fitted(INSTALLATIONS, answer, variables) == answer["data"]
    nodes = answer["data"]["enterprise"]["ownerInfo"]["enterpriseServerInstallations"]["nodes"]
    seen = {node["hostName"].split(".")[0]: (node["isConnected"], node["userAccounts"]["totalCount"]) for node in nodes}
    held = {name: len(box.instances[name].as_sent()) for name in box.instances}
    assert seen == {"ghes-emea": (True, 0), "ghes-apac": (False, held["apac"]), "ghes-labs": (False, held["labs"])}
    assert [node["userAccountsUploads"]["nodes"] and node["userAccountsUploads"]["nodes"][0]["syncState"] for node in nodes] == [
        "SUCCESS",
        [],
        "SUCCESS",
    ]


def test_accounts_are_answered_in_the_published_types_page_by_page(box, query):
    box.push("labs")
    everything = "{ enterprise(slug: %s) { ownerInfo { enterpriseServerInstallations(first: 1) { nodes { id } } } } }"
    found = query(box, everything % json.dumps(box.enterprise))["data"]["enterprise"]["ownerInfo"]["enterpriseServerInstallations"]
    variables = {"id": found["nodes"][0]["id"], "first": 7, "after": None}
    seen = []
    while True:
        answer = query(box, ACCOUNTS, **variables)
        assert fitted(ACCOUNTS, typed(answer, "EnterpriseServerInstallation"), variables) == answer["data"]
        page = answer["data"]["node"]["userAccounts"]
        seen += [node["remoteUserId"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        variables["after"] = page["pageInfo"]["endCursor"]

    assert sorted(seen) == [user["id"] for user in box.instances["labs"].as_sent()]


def test_an_account_is_answered_in_the_published_types(box, query):
    box.push("labs")
    text = "{ enterprise(slug: %s) { ownerInfo { enterpriseServerInstallations(first: 1) { nodes { userAccounts(first: 1) { nodes { id } } } } } } }"
    found = query(box, text % json.dumps(box.enterprise))["data"]["enterprise"]["ownerInfo"]["enterpriseServerInstallations"]
    variables = {"id": found["nodes"][0]["userAccounts"]["nodes"][0]["id"], "first": 100, "after": None}

    answer = query(box, ADDRESSES, **variables)

    assert fitted(ADDRESSES, typed(answer, "EnterpriseServerUserAccount"), variables) == answer["data"]


def test_the_newest_upload_comes_first(box, query):
    box.push("emea")
    box.clock.advance(60)
    box.cloud_app.cloud.processing = type(box.cloud.processing)(mode="failure")
    box.push("emea")

    answer = query(box, INSTALLATIONS, enterprise=box.enterprise, first=1, after=None)

    (node,) = answer["data"]["enterprise"]["ownerInfo"]["enterpriseServerInstallations"]["nodes"]
    assert [one["syncState"] for one in node["userAccountsUploads"]["nodes"]] == ["FAILURE"]


SERVERS = '{ enterprise(slug: "octo-enterprise") { ownerInfo { enterpriseServerInstallations(%s) { %s } } } }'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expected '{', found ''"),
        ("mutation { x }", "Expected '{', found 'mutation'"),
        ('{ enterprise(slug: "x") { seats } }', "Field 'seats' doesn't exist on type 'Enterprise'"),
        ("{ enterprise { id } }", "Field 'enterprise' is missing required arguments: slug"),
        ("{ enterprise(slug: 7) { id } }", "Argument 'slug' on Field 'enterprise' has an invalid value"),
        ('{ enterprise(slug: "x", token: 1) { id } }', "Field 'enterprise' doesn't accept argument 'token'"),
        ('{ enterprise(slug: "x") }', "Field 'enterprise' must have selections"),
        ("{ rateLimit { cost { x } } }", "Field 'cost' must not have selections"),
        ("query ($n: String) { enterprise(slug: $n) { id } }", "Type mismatch on variable $n and argument slug"),
        ("{ enterprise(slug: $n) { id } }", "Variable $n is used but not declared"),
        ("query ($n: String!) { enterprise(slug: $n) { id } }", "Variable $n of type String! was provided invalid value"),
        ('{ enterprise(slug: "x") { ... on Node { id } } }', "Fragment on Node can't be spread inside Enterprise"),
        ("{ a: rateLimit { cost } }", "Expected a name, found ':'"),
        ("{ rateLimit { cost } } %", "Unexpected character '%'"),
        ("{ rateLimit { cost } } }", "Expected the end, found '}'"),
        ("{ a " * 20_000, "The query is nested too deeply"),
        (SERVERS % ("connectedOnly: false", "totalCount"), "You must provide a `first` or `last` value"),
        (SERVERS % ("first: 101", "totalCount"), "exceeds the `first` limit of 100 records"),
        (SERVERS % ('first: 1, after: "x"', "totalCount"), "does not appear to be a valid cursor"),
        (SERVERS % ("first: 1, orderBy: {field: SIZE, direction: ASC}", "totalCount"), "Argument 'orderBy'"),
    ],
)  # fmt: skip
def test_what_the_schema_does_not_know_is_refused_with_200(box, query, text, said):
    answer = query(box, text)

    assert "data" not in answer
    assert said in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("token", "error", "data"),
    [
        ({"scopes": ["read:org"]}, "INSUFFICIENT_SCOPES", None),
        ({"owner": False}, None, {"ownerInfo": None}),
    ],
    ids=["scope", "no owner"],
)
def test_who_may_not_ask_is_told_so(box, ask, query, token, error, data):
    ask.control(box, "PUT", "token", token)

    answer = query(box, INSTALLATIONS, enterprise=box.enterprise, first=100, after=None)

    assert [one["type"] for one in answer.get("errors", ())] == ([error] if error else [])
    assert (answer.get("data") or {}).get("enterprise") == data


def test_another_enterprise_is_not_found(box, query):
    answer = query(box, INSTALLATIONS, enterprise="other", first=100, after=None)

    assert answer["data"]["enterprise"] is None
    assert answer["errors"][0]["type"] == "NOT_FOUND"


def test_its_points_are_a_budget_of_their_own(box, ask, query):
    box.cloud_app.graphql.points = RateLimit(box.clock, 2)
    text = "{ rateLimit { limit remaining used } }"

    left = [query(box, text)["data"]["rateLimit"]["remaining"] for _ in range(2)]
    refused = query(box, text)

    assert (left, refused["errors"][0]["type"]) == ([1, 0], "RATE_LIMITED")
    assert ask.cloud(box, "/versions").status_code == 200
