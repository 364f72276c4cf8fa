"""The environment over the file."""

import pytest

from licsync_daemon.model.blackout import parse_window
from licsync_daemon.model.errors import Problem
from licsync_daemon.model.instance import NoSource

from .conftest import CLOUD, DEFAULTS, EMEA, VALID, Load, Refuse


def test_the_environment_wins_over_the_file(load: Load) -> None:
    """A variable replaces exactly the key it names."""
    config = load(
        'state_dir = "/srv/a"\n' + VALID + 'server_id = "12"\n',
        LICSYNC_STATE_DIR="/srv/b",
        LICSYNC_CLOUD__ENTERPRISE="other",
        LICSYNC_MAX_CONCURRENT_RUNS="7",
        LICSYNC_INSTANCES__EMEA__SERVER_ID="34",
        LICSYNC_INSTANCES__EMEA__ENABLED="false",
        LICSYNC_INSTANCES__EMEA__DELIVERY__CONFIRM_TIMEOUT="3h",
        LICSYNC_DEFAULTS__SOURCE__USERNAME="second",
    ).config
    (emea,) = config.instances
    assert (str(config.state_dir), config.cloud.enterprise, config.max_concurrent_runs) == ("/srv/b", "other", 7)
    assert (emea.server_id, emea.enabled, emea.delivery.confirm_timeout.total_seconds()) == ("34", False, 3 * 3600)
    assert (emea.source.username, emea.delivery.at.url) == ("second", "https://relay.example.com/uploads")


def test_an_instance_can_stand_in_the_environment_alone(load: Load) -> None:
    """A container can be configured with an instance that no file names."""
    config = load(CLOUD + DEFAULTS, LICSYNC_INSTANCES__APAC_2__HOSTNAME="ghes-apac.example.com").config
    assert [(one.name, one.hostname) for one in config.instances] == [("apac_2", "ghes-apac.example.com")]


def test_text_stays_text(load: Load, subtests: pytest.Subtests) -> None:
    """A value that looks like a number or JSON is not read as one."""
    for value in ["12345", "1e5", "true", "null", '{"a": 1}'.replace(" ", ""), "[1]"]:
        with subtests.test(value=value):
            assert value == load(LICSYNC_INSTANCES__EMEA__SERVER_ID=value).config.instances[0].server_id


def test_secrets_may_stand_in_the_environment(load: Load) -> None:
    """Every secret has a variable, and none of the values is kept in the configuration."""
    names = (
        "DIGEST_KEY",
        "CLOUD__TOKEN",
        "CLOUD__PROXY_AUTH",
        "DEFAULTS__PROXY_AUTH",
        "DEFAULTS__SOURCE__TOKEN",
        "DEFAULTS__DELIVERY__TOKEN",
        "DEFAULTS__DELIVERY__PROXY_AUTH",
        "INSTANCES__EMEA__PROXY_AUTH",
        "INSTANCES__EMEA__SOURCE__TOKEN",
        "INSTANCES__EMEA__DELIVERY__TOKEN",
        "INSTANCES__EMEA__DELIVERY__PROXY_AUTH",
        "DEFAULTS__COUNTS__TOKEN",
        "INSTANCES__EMEA__COUNTS__TOKEN",
        "NOTIFY__MAIL__PASSWORD",
        "NOTIFY__WEBHOOK__TOKEN",
        "NOTIFY__WEBHOOK__PROXY_AUTH",
        "NOTIFY__WEBHOOK__SECRET_PATH",
    )
    notify = """
        [notify.mail]
        host = "smtp.example.com"
        from = "licsync@example.com"
        to = ["a@example.com"]
        [notify.webhook]
        url = "https://alerts.example.com"
        """
    loaded = load(VALID + notify, **{f"LICSYNC_{name}": "hunter2" for name in names})
    assert "hunter2" not in repr(loaded)


def test_a_secret_alone_makes_no_table(load: Load, refuse: Refuse) -> None:
    """The variable of a token does not configure a source or counts; for an unknown instance it is a mistake."""
    text = CLOUD + '[defaults]\ndelivery.kind = "connect"\n' + EMEA
    tokens = {"LICSYNC_DEFAULTS__SOURCE__TOKEN": "hunter2", "LICSYNC_INSTANCES__EMEA__COUNTS__TOKEN": "hunter2"}
    (emea,) = load(text, **tokens).config.instances
    assert (emea.source, emea.counts) == (NoSource(), None)
    (problem,) = refuse(text, LICSYNC_INSTANCES__EMAE__SOURCE__TOKEN="hunter2")
    assert problem.where == "instances.emae.hostname"


def test_every_kind_can_be_configured_by_variables_alone(load: Load) -> None:
    """Lists, numbers and nested tables arrive as a file would have them; a table that no file has is made."""
    config = load(
        CLOUD + EMEA,
        LICSYNC_CLOUD__RETIRED="old.example.com, id-9",
        LICSYNC_DEFAULTS__DELIVERY__KIND="manual",
        LICSYNC_DEFAULTS__DELIVERY__OUTBOX__PATH="/srv/outbox",
        LICSYNC_INSTANCES__EMEA__SOURCE__KIND="ssh",
        LICSYNC_INSTANCES__EMEA__SOURCE__PORT="2222",
        LICSYNC_INSTANCES__EMEA__SOURCE__COMMAND='["ghe-license", "usage"]',
        LICSYNC_NOTIFY__MAIL__HOST="smtp.example.com",
        LICSYNC_NOTIFY__MAIL__FROM="licsync@example.com",
        LICSYNC_NOTIFY__MAIL__TO="a@example.com,b@example.com",
    ).config
    (emea,), (mail,) = config.instances, config.notify
    assert config.cloud.retired == ("old.example.com", "id-9")
    assert (emea.delivery.kind, str(emea.delivery.outbox)) == ("manual", "/srv/outbox")
    assert (emea.source.port, emea.source.command) == (2222, ("ghe-license", "usage"))
    assert (mail.host, mail.sender, mail.to) == ("smtp.example.com", "licsync@example.com", ("a@example.com", "b@example.com"))


def test_other_variables_are_ignored(load: Load) -> None:
    """Variables without the prefix, and the one that names the file, are left alone."""
    assert load(LICSYNC_CONFIG="/etc/x.toml", LICSYNCED="1", PATH="/bin").config


A_VARIABLE_THAT_NAMES_NO_SETTING_IS_A_MISTAKE = [
    ("LICSYNC_CLOUD_ENTERPRISE", "did you mean LICSYNC_CLOUD__ENTERPRISE?"),
    ("LICSYNC_CLOUD__ENTERPRIZE", "did you mean LICSYNC_CLOUD__ENTERPRISE?"),
    ("LICSYNC_INSTANCES__EMEA__MAX_AGE", "did you mean LICSYNC_INSTANCES__EMEA__SCHEDULE__MAX_AGE?"),
    ("LICSYNC_INSTANCES__EMEA__HOST_NAME", "did you mean LICSYNC_INSTANCES__EMEA__HOSTNAME?"),
    ("LICSYNC_STATE_DIR__X", "did you mean LICSYNC_STATE_DIR?"),
    ("LICSYNC_INSTANCES", "set its keys one by one, for example LICSYNC_INSTANCES__EMEA__HOSTNAME"),
    ("LICSYNC_INSTANCES__EMEA", "set its keys one by one, for example LICSYNC_INSTANCES__EMEA__HOSTNAME"),
    ("LICSYNC_NOTIFY__MAIL", "set its keys one by one, for example LICSYNC_NOTIFY__MAIL__HOST"),
    ("LICSYNC_NOTIFY__MAIL__FORM", "did you mean LICSYNC_NOTIFY__MAIL__FROM?"),
    ("LICSYNC_CLOUD", "set its keys one by one, for example LICSYNC_CLOUD__ENTERPRISE"),
]


def test_a_variable_that_names_no_setting_is_a_mistake(refuse: Refuse, subtests: pytest.Subtests) -> None:
    """An unknown variable is refused with the one that was probably meant, and without its value."""
    for name, expected in A_VARIABLE_THAT_NAMES_NO_SETTING_IS_A_MISTAKE:
        with subtests.test(name=name, expected=expected):
            (problem,) = refuse(**{name: "hunter2"})
            assert (name, expected) == (problem.where, problem.hint)
            assert "hunter2" not in str(problem)


def test_a_mistake_from_the_environment_names_the_variable(refuse: Refuse) -> None:
    """A mistake in the environment is reported with the name of the variable."""
    assert (Problem("LICSYNC_MAX_CONCURRENT_RUNS", "must be a whole number"),) == refuse(LICSYNC_MAX_CONCURRENT_RUNS="hunter2")


def test_a_list_may_stand_in_the_environment(load: Load, subtests: pytest.Subtests) -> None:
    """Blackout windows are written with commas between them, or as JSON."""
    for text in ["mon 08:00-18:00, 2026-12-24/2026-12-27", '["mon 08:00-18:00", "2026-12-24/2026-12-27"]']:
        with subtests.test(text=text):
            expected = (parse_window("mon 08:00-18:00"), parse_window("2026-12-24/2026-12-27"))
            assert load(VALID, LICSYNC_SCHEDULE__AVOID=text).config.instances[0].schedule.avoid == expected


def test_a_list_with_a_mistake_names_its_variable(refuse: Refuse) -> None:
    """An invalid window is refused as in the file."""
    (problem,) = refuse(VALID, LICSYNC_SCHEDULE__AVOID="mon 8-18")
    assert problem.what == "not a valid time window"


def test_an_empty_variable_is_named_as_such(refuse: Refuse, load: Load, subtests: pytest.Subtests) -> None:
    """Not as a bad value of its kind; one whose option may be empty is used."""
    for name in ("CLOUD__ENTERPRISE", "CLOUD__PROXY", "CLOUD__CA_FILE", "MAX_CONCURRENT_RUNS", "STATE_DIR", "INSTANCES__EMEA__HOSTNAME"):
        for value in ("", " "):
            with subtests.test(name=name, value=value):
                (problem,) = refuse(VALID, **{f"LICSYNC_{name}": value})
                assert (problem.where, problem.what) == (f"LICSYNC_{name}", "this variable is empty")
    assert load(VALID, LICSYNC_CLOUD__ELSEWHERE="").config.cloud.elsewhere == ()
