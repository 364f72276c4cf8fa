"""Mistakes in a file: all at once, and each one once."""

import pytest

from .conftest import CLOUD, DEFAULTS, EMEA, VALID, Refuse

TWO = VALID + '[instances.labs]\nhostname = "ghes-labs.example.com"\n'


MISTAKES = [
    (DEFAULTS + EMEA, "cloud", "missing", "[cloud]"),
    ("[cloud]\n" + DEFAULTS + EMEA, "cloud.enterprise", "missing", 'enterprise = "octo-enterprise"'),
    (
        VALID.replace("enterprise", "organization").replace('"octo"', '"a/b"'),
        "cloud.organization",
        "not a valid organization login",
        "use only NAME",
    ),
    (CLOUD + 'organization = "octo"\n' + DEFAULTS + EMEA, "cloud.organization", "not both", "remove one"),
    (CLOUD + 'watch_every = "59s"\n' + DEFAULTS + EMEA, "cloud.watch_every", "once a minute", '"1m"'),
    (CLOUD + 'elsewhere = "ghes.example.com"\n' + DEFAULTS + EMEA, "cloud.elsewhere", "must be a list", "ghes-other.example.com"),
    (CLOUD + 'retired = ["a b"]\n' + DEFAULTS + EMEA, "cloud.retired.0", "not a valid server ID", "copy it"),
    (CLOUD + 'retired = ["x", "GHES-EMEA.example.com"]\n' + DEFAULTS + EMEA, "cloud.retired.1", "instance emea as well", "remove one"),
    (CLOUD + 'elsewhere = ["id-1"]\n' + DEFAULTS + EMEA + 'server_id = "id-1"', "cloud.elsewhere.0", "instance emea", "remove one"),
    (CLOUD + 'elsewhere = ["x"]\nretired = ["x"]\n' + DEFAULTS + EMEA, "cloud.retired.0", "`elsewhere` as well", "remove one"),
    (CLOUD + 'verified_domains = ["@example.com"]\n' + DEFAULTS + EMEA, "cloud.verified_domains.0", "user name", ""),
    (VALID.replace('"octo"', '"https://github.com/enterprises/octo"'), "cloud.enterprise", "not an enterprise slug", "use only NAME"),
    (VALID.replace('"octo"', '"octo cat"'), "cloud.enterprise", "not a valid enterprise slug", "use only NAME"),
    (VALID.replace('"octo"', "7"), "cloud.enterprise", "a string", "octo-enterprise"),
    (CLOUD + 'api_version = "v3"\n' + DEFAULTS + EMEA, "cloud.api_version", "is a date", "2022-11-28"),
    (CLOUD + DEFAULTS, "instances", "no instance", "[instances.emea]"),
    (CLOUD + DEFAULTS + "[instances]\n", "instances", "no instance", "[instances.emea]"),
    (VALID.replace("[instances.emea]", "[[instances]]"), "instances", "must be tables", "single brackets"),
    (VALID.replace(".emea]", ".EMEA]"), "instances.EMEA", "lowercase letters", "[instances.emea]"),
    (VALID.replace(".emea]", '."EU-West 1"]'), "instances.EU-West 1", "lowercase letters", "[instances.eu_west_1]"),
    (VALID.replace(".emea]", ".a__b]"), "instances.a__b", "lowercase letters", "[instances.a_b]"),
    (VALID.replace(".emea]", ".1a]"), "instances.1a", "lowercase letters", "[instances.emea]"),
    (CLOUD + DEFAULTS + "[instances.emea]\n", "instances.emea.hostname", "missing", 'hostname = "ghes.example.com"'),
    (VALID.replace('"ghes-', '"https://ghes-'), "instances.emea.hostname", "URL", "only the name"),
    (TWO.replace("ghes-labs", "GHES-EMEA"), "instances.labs.hostname", "emea and labs have the same hostname", "remove one"),
    (TWO.replace("ghes-labs.example.com", "ghes-emea.example.com.:8443"), "instances.labs.hostname", "same hostname", "remove one"),
    (
        TWO + 'server_id = "a"\n[instances.us]\nhostname = "u"\nserver_id = "a"',
        "instances.us.server_id",
        "labs and us have the same",
        "",
    ),
    (VALID + "hostnam = 1", "instances.emea.hostnam", "unknown key", "did you mean hostname?"),
    (VALID + "shedule = {}", "instances.emea.shedule", "unknown key", "did you mean schedule?"),
    ("shedule = {}\n" + VALID, "shedule", "unknown key", "did you mean schedule?"),
    ('_env_file = "/etc/passwd"\n' + VALID, "_env_file", "unknown key", ""),
    ("_cli_parse_args = true\n" + VALID, "_cli_parse_args", "unknown key", ""),
    ("__init__ = true\n" + VALID, "__init__", "unknown key", ""),
    (VALID + 'log_level = "info"', "instances.emea.log_level", "unknown key", "top of the file"),
    ('timezone = "UTC"\n' + VALID, "timezone", "unknown key", "it belongs to [schedule]"),
    (VALID + 'username = "x"', "instances.emea.username", "unknown key", "it belongs to [instances.emea.source]"),
    ('schedule.avoid = ["mon 8-18"]\n' + VALID, "schedule.avoid.0", "not a valid time window", "examples"),
    ('schedule.avoid = "mon 08:00-18:00"\n' + VALID, "schedule.avoid", "list", ""),
    ("guards.shrink_share = 1.01\n" + VALID, "guards.shrink_share", "a share is a number from 0 to 1", "0.2 is 20%"),
    ("guards.shrink_accounts = -1\n" + VALID, "guards.shrink_accounts", "cannot be negative", "25"),
    ("guards.shrink_share = true\n" + VALID, "guards.shrink_share", "must be a number", ""),
    ('guards.shrink_share = "x"\n' + VALID, "guards.shrink_share", "must be a number", ""),
    ("guards.shrink = 0.3\n" + VALID, "guards.shrink", "unknown key", ""),
    (VALID + 'guards.max_usage_age = "0d"', "instances.emea.guards.max_usage_age", "longer than zero", ""),
    ('state_dir = "state"\n' + VALID, "state_dir", "absolute", "slash"),
    ("max_concurrent_runs = 0\n" + VALID, "max_concurrent_runs", "at least 1", ""),
    ("max_concurrent_runs = 1.5\n" + VALID, "max_concurrent_runs", "whole number", ""),
    ('log_level = "warn"\n' + VALID, "log_level", "not a valid log level", "did you mean warning?"),
    ("schedule = 7\n" + VALID, "schedule", "must be a table", "[brackets]"),
    ('schedule.timezone = "Europe/Berln"\n' + VALID, "schedule.timezone", "unknown time zone", "did you mean Europe/Berlin?"),
    ('schedule.timezone = "europe/berlin"\n' + VALID, "schedule.timezone", "unknown time zone", "did you mean Europe/Berlin?"),
    ('schedule.timezone = "Europe"\n' + VALID, "schedule.timezone", "unknown time zone", ""),
    ('schedule.timezone = "../../etc/passwd"\n' + VALID, "schedule.timezone", "unknown time zone", ""),
    ('schedule.timezone = ""\n' + VALID, "schedule.timezone", "unknown time zone", ""),
    ('schedule.max_age = "8"\n' + VALID, "schedule.max_age", "needs a unit", '"8d"'),
    ('schedule.max_age = "0s"\n' + VALID, "schedule.max_age", "longer than zero", '"8d"'),
    ('schedule.cron = "@weekly"\n' + VALID, "schedule.cron", "this one has 1", "Sunday 02:30"),
    ('schedule.cron = "0 30 2 * * 0"\n' + VALID, "schedule.cron", "this one has 6", "Sunday 02:30"),
    ('schedule.cron = "61 2 * * 0"\n' + VALID, "schedule.cron", "not a valid cron", "Sunday 02:30"),
    ('schedule.cron = "0 0 30 2 *"\n' + VALID, "schedule.cron", "not a valid cron", "Sunday 02:30"),
    ('schedule.day = "sunday"\n' + VALID, "schedule.time", "`day` requires `time`", '"02:30"'),
    ('schedule.time = "02:30"\n' + TWO, "schedule.day", "`time` requires `day`", '"sunday"'),
    (VALID + 'schedule.day = "sunday"', "instances.emea.schedule.time", "`day` requires `time`", '"02:30"'),
    (
        VALID + 'schedule = { day = "sundy", time = "02:30" }',
        "instances.emea.schedule.day",
        "not a valid weekday",
        "did you mean sunday?",
    ),
    (VALID + 'schedule = { day = "sunday", time = "24:00" }', "instances.emea.schedule.time", "not a valid time of day", "02:30"),
    (VALID + 'schedule = { day = "sunday", time = 02:30:00 }', "instances.emea.schedule.time", "a string", ""),
    (VALID + 'schedule = { day = "sunday", time = "02:30", cron = "0 1 * * *" }', "instances.emea.schedule.cron", "not both", ""),
    (CLOUD + EMEA + 'delivery = { kind = "http", url = "https://r" }', "defaults.source", "emea has none of its own", "license-reader"),
    (VALID.replace('kind = "report", ', ""), "defaults.source.kind", "emea has none of its own", 'kind = "report"'),
    (VALID.replace(', username = "reader"', ""), "defaults.source.username", "emea has none of its own", "license-reader"),
    (
        VALID.replace(', username = "reader"', "") + 'source.report_timeout = "1h"',
        "instances.emea.source.username",
        "missing",
        "license",
    ),
    (VALID.replace(', url = "https://relay.example.com/uploads"', ""), "defaults.delivery.url", "missing", "relay.example.com"),
    (VALID.replace('"report"', '"reprot"'), "defaults.source.kind", "not a valid kind of source", "did you mean report?"),
    (VALID + 'delivery = { kind = "https" }', "instances.emea.delivery.kind", "not a valid kind of delivery", "did you mean http?"),
    ('schedule.every = "10d"\n' + VALID, "schedule.every", "whole number of weeks", '"14d"'),
    ('schedule.every = "371d"\n' + VALID, "schedule.every", "whole number of weeks", '"14d"'),
    ('schedule = { every = "14d", cron = "0 1 * * 1" }\n' + VALID, "schedule.cron", "`every`, which counts weeks", "remove one"),
    (VALID.replace("https://relay", "http://relay"), "defaults.delivery.url", "plain http", "https://"),
    (VALID + 'url = "https://169.254.169.254"', "instances.emea.url", "link-local", "private ranges"),
    (VALID + 'source.username = "a:b"', "instances.emea.source.username", "not a valid user name", "colon"),
    (VALID + 'source.api_version = "v3"', "instances.emea.source.api_version", "is a date", "2022-11-28"),
    (VALID + 'server_id = ""', "instances.emea.server_id", "not a valid server ID", "copy it"),
    (VALID + 'enabled = "maybe"', "instances.emea.enabled", "true or false", ""),
    (VALID + 'ca_file = "/nonexistent/ca.pem"', "instances.emea.ca_file", "no such file", "PEM"),
    (VALID + 'ca_file = "/"', "instances.emea.ca_file", "is a directory", "PEM"),
    (VALID + 'ca_file = "ca.pem"', "instances.emea.ca_file", "absolute", "slash"),
    (VALID + "ca_file = 7", "instances.emea.ca_file", "a path in quotes", "ca.pem"),
]


def test_a_mistake_is_one_line_with_its_place_and_a_suggestion(refuse: Refuse, subtests: pytest.Subtests) -> None:
    """Each mistake is one problem: where, what, and what to write instead."""
    for text, where, what, hint in MISTAKES:
        with subtests.test(where=where, what=what):
            (problem,) = refuse(text)
            assert where == problem.where
            assert what in problem.what
            assert hint in problem.hint


def test_all_mistakes_of_a_file_come_at_once_and_in_its_order(refuse: Refuse) -> None:
    """Eight mistakes of every sort are eight problems, in the order of the file's tables."""
    problems = refuse("""
        max_concurrent_runs = "many"
        [cloud]
        enterprise = "octo"
        token = "ghp_0123456789abcdefghij"
        [schedule]
        timezone = "Europe/Berln"
        [defaults]
        source = { kind = "report", username = "reader" }
        delivery = { kind = "http", url = "http://relay.example.com" }
        [instances.EMEA]
        hostname = "ghes-emea.example.com"
        [instances.labs]
        hostname = "GHES-EMEA.example.com"
        delivery = { confirm_timeout = "1 hour" }
        enabeld = false
        """)
    assert {one.where: place for place, one in enumerate(problems)} == {
        "max_concurrent_runs": 0,
        "cloud.token": 1,
        "schedule.timezone": 2,
        "defaults.delivery.url": 3,
        "instances.EMEA": 4,
        "instances.labs.hostname": 5,
        "instances.labs.delivery.confirm_timeout": 6,
        "instances.labs.enabeld": 7,
    }


def test_a_mistake_in_the_defaults_is_reported_once(refuse: Refuse) -> None:
    """What every instance takes from the defaults is reported there, not for each of them."""
    fleet = "".join(f'[instances.i{number}]\nhostname = "i{number}.example.com"\n' for number in range(20))
    problems = refuse(CLOUD + DEFAULTS.replace("https://relay", "http://relay").replace(', username = "reader"', "") + fleet)
    assert [one.where for one in problems] == ["defaults.source.username", "defaults.delivery.url"]


def test_an_unknown_key_in_what_instances_inherit_is_reported_once(refuse: Refuse, subtests: pytest.Subtests) -> None:
    """Its hint names the table of any instance, not one line for each instance."""
    fleet = "".join(f'[instances.i{number}]\nhostname = "i{number}.example.com"\n' for number in range(3))
    without_kind = DEFAULTS.replace('kind = "http", ', "enabled = true, ")
    for text, where, home in (
        (CLOUD + "[schedule]\nport = 7\n" + DEFAULTS + fleet, "schedule.port", "instances.NAME.source"),
        (CLOUD + "[guards]\nport = 7\n" + DEFAULTS + fleet, "guards.port", "instances.NAME.source"),
        (CLOUD + without_kind + fleet, "defaults.delivery.enabled", "instances.NAME"),
    ):
        with subtests.test(where=where):
            (problem,) = (one for one in refuse(text) if one.where == where)
            assert problem.hint == f"it belongs to [{home}]"


def test_an_empty_file_says_what_is_missing(refuse: Refuse) -> None:
    """An empty file is two mistakes, not a crash."""
    assert [one.where for one in refuse("")] == ["cloud", "instances"]
