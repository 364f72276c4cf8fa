"""A valid configuration as plain values: built-in defaults, layers, schedules, names of credentials."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.configured import CloudAccount, Config, Destination, HttpDelivery, Instance, ReportSource, Schedule
from licsync_daemon.settings.convert import stable_cron

from .conftest import CLOUD, DEFAULTS, EMEA, VALID, Load


def only(config: Config) -> Instance:
    (instance,) = config.instances
    return instance


def test_a_small_file_becomes_a_whole_configuration(load: Load) -> None:
    """What a short file does not say is filled in with the documented defaults."""
    expected = Config(
        state_dir=Path("/var/lib/licsync"),
        credentials_dir=Path("/etc/licsync/credentials"),
        cloud=CloudAccount(at=Destination(url="https://api.github.com", token=("cloud__token",)), enterprise="octo"),
        instances=(
            Instance(
                name="emea",
                hostname="ghes-emea.example.com",
                server_id=None,
                enabled=True,
                schedule=Schedule(cron="41 4 * * 1", timezone="UTC"),
                max_age=timedelta(days=8),
                source=ReportSource(
                    at=Destination(
                        url="https://ghes-emea.example.com",
                        token=("instances__emea__source__token", "defaults__source__token"),
                    ),
                    username="reader",
                ),
                delivery=HttpDelivery(
                    at=Destination(
                        url="https://relay.example.com/uploads",
                        token=("instances__emea__delivery__token", "defaults__delivery__token"),
                    ),
                ),
            ),
        ),
        max_concurrent_runs=4,
        log_level="info",
    )
    loaded = load()
    assert expected == loaded.config
    assert loaded.warnings == ()


def test_every_option_reaches_its_place(load: Load, tmp_path: Path) -> None:
    """Each option that a file sets is found in the values."""
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    config = load(f"""
        state_dir = "/srv/state"
        credentials_dir = "/srv/credentials"
        max_concurrent_runs = 9
        log_level = "DEBUG"
        [cloud]
        enterprise = "octo"
        api_url = "https://api.octo.ghe.com/"
        api_version = "2026-03-10"
        proxy = "env"
        ca_file = "{ca_file}"
        [instances.emea]
        hostname = "GHES.example.com:8443"
        server_id = "id-1"
        enabled = false
        proxy = "http://proxy.example.com:3128"
        ca_file = "{ca_file}"
        schedule = {{ timezone = "Europe/Berlin", cron = "5 4  * * 3", max_age = "9d12h" }}
        [instances.emea.source]
        kind = "report"
        username = "reader"
        report_timeout = "45m"
        api_version = ""
        [instances.emea.delivery]
        kind = "http"
        url = "http://127.0.0.1:8080/uploads/"
        confirm_timeout = "2h"
        proxy = "http://other.example.com:3128"
        """).config
    emea = only(config)
    assert (Path("/srv/state"), Path("/srv/credentials"), 9, "debug") == (
        config.state_dir,
        config.credentials_dir,
        config.max_concurrent_runs,
        config.log_level,
    )
    assert CloudAccount(
        at=Destination(url="https://api.octo.ghe.com", proxy="env", ca_file=ca_file, token=("cloud__token",)),
        enterprise="octo",
        api_version="2026-03-10",
    ) == (config.cloud)
    assert (emea.hostname, emea.server_id, emea.enabled) == ("ghes.example.com", "id-1", False)
    assert (Schedule(cron="5 4 * * 3", timezone="Europe/Berlin"), timedelta(days=9, hours=12)) == (emea.schedule, emea.max_age)
    assert ("https://ghes.example.com:8443", "http://proxy.example.com:3128", ca_file) == (
        emea.source.at.url,
        emea.source.at.proxy,
        emea.source.at.ca_file,
    )
    assert (timedelta(minutes=45), None) == (emea.source.report_timeout, emea.source.api_version)
    assert ("http://127.0.0.1:8080/uploads", "http://other.example.com:3128", None, timedelta(hours=2)) == (
        emea.delivery.at.url,
        emea.delivery.at.proxy,
        emea.delivery.at.ca_file,
        emea.delivery.confirm_timeout,
    )


def test_an_instance_is_laid_over_the_defaults_key_by_key(load: Load) -> None:
    """What an instance says wins, what it does not say comes from the defaults, what neither says is built in."""
    defaults = """
        [defaults.source]
        kind = "report"
        username = "reader"
        report_timeout = "10m"
        [defaults.delivery]
        kind = "http"
        url = "https://relay.example.com"
        confirm_timeout = "2h"
        """
    instance = only(
        load(CLOUD + defaults + EMEA + 'source = { username = "other" }\ndelivery = { url = "https://second.example.com" }').config
    )
    assert ("other", timedelta(minutes=10), "2022-11-28") == (
        instance.source.username,
        instance.source.report_timeout,
        instance.source.api_version,
    )
    assert ("https://second.example.com", timedelta(hours=2)) == (instance.delivery.at.url, instance.delivery.confirm_timeout)


PROXY = 'proxy = "http://{}.example.com:1"\n'


@pytest.mark.parametrize(
    ("defaults", "instance", "source", "delivery"),
    [
        ("", "", (None, ()), (None, ())),
        (
            PROXY.format("a"),
            "",
            ("a", ("instances__emea", "defaults")),
            ("a", ("instances__emea__delivery", "defaults__delivery", "defaults")),
        ),
        (
            PROXY.format("a"),
            PROXY.format("b"),
            ("b", ("instances__emea",)),
            ("a", ("instances__emea__delivery", "defaults__delivery", "defaults")),
        ),
        (
            'delivery.proxy = "http://c.example.com:1"\n',
            "",
            (None, ()),
            ("c", ("instances__emea__delivery", "defaults__delivery")),
        ),
        (
            PROXY.format("a"),
            'delivery.proxy = "http://d.example.com:1"\n',
            ("a", ("instances__emea", "defaults")),
            ("d", ("instances__emea__delivery",)),
        ),
    ],
)
def test_the_login_of_a_proxy_belongs_to_that_proxy(load: Load, defaults: str, instance: str, source: Any, delivery: Any) -> None:
    """A proxy comes from the most specific table that has one, and a login for another proxy is never sought."""
    given = """
        source.kind = "report"
        source.username = "reader"
        delivery.kind = "http"
        delivery.url = "https://relay.example.com"
        """
    emea = only(load(f"{CLOUD}[defaults]\n{given}{defaults}{EMEA}{instance}").config)
    for (proxy, levels), at in ((source, emea.source.at), (delivery, emea.delivery.at)):
        assert (proxy and f"http://{proxy}.example.com:1") == at.proxy
        assert tuple(f"{one}__proxy_auth" for one in levels) == at.proxy_auth


def test_the_environments_proxy_has_its_own_login(load: Load) -> None:
    """With `env` no login is sought: the environment's address carries it."""
    emea = only(load(VALID + 'proxy = "env"').config)
    assert (emea.source.at.proxy, emea.source.at.proxy_auth) == ("env", ())


@pytest.mark.parametrize(
    ("general", "own", "expected"),
    [
        ("", "", "41 4 * * 1"),
        ('day = "sunday"\ntime = "02:30"', "", "30 2 * * 0"),
        ('day = "Saturday"\ntime = "23:05"', "", "5 23 * * 6"),
        ('cron = "0 3 * * 1,4"', "", "0 3 * * 1,4"),
        ('day = "sunday"\ntime = "02:30"', 'day = "monday"', "30 2 * * 1"),
        ('time = "02:30"', 'day = "monday"', "30 2 * * 1"),
        ('day = "sunday"\ntime = "02:30"', 'cron = "1 1 * * 1"', "1 1 * * 1"),
        ('cron = "1 1 * * 1"', 'day = "monday", time = "00:00"', "0 0 * * 1"),
    ],
)
def test_every_way_of_saying_a_time_becomes_one_cron_expression(load: Load, general: str, own: str, expected: str) -> None:
    """Weekday and time, a cron expression, or nothing: each is one expression in the configured zone."""
    text = f'{CLOUD}[schedule]\ntimezone = "Europe/Berlin"\n{general}\n{DEFAULTS}{EMEA}' + (f"schedule = {{ {own} }}" if own else "")
    assert Schedule(cron=expected, timezone="Europe/Berlin") == only(load(text).config).schedule


def test_an_instances_own_minute_is_stable() -> None:
    """The minute made from a name never changes, or every fleet would shift with an update."""
    assert {name: stable_cron(name) for name in ("emea", "labs", "us")} == {"emea": "41 4 * * 1", "labs": "57 4 * * 1", "us": "41 2 * * 3"}


def test_a_fleet_is_spread_over_the_week() -> None:
    """Names that differ little get minutes that differ much: every day gets its share, and hardly two share a minute."""
    crons = [stable_cron(f"ghes_{number}") for number in range(700)]
    days = Counter(one.split()[4] for one in crons)
    assert set("0123456") == set(days)
    assert min(days.values()) > 70
    assert len(set(crons)) > 650


def test_instances_keep_the_order_of_the_file(load: Load) -> None:
    """Instances come as the file has them, those of the environment last."""
    text = VALID + '[instances.b]\nhostname = "b.example.com"\n[instances.a]\nhostname = "a.example.com"\n'
    config = load(text, LICSYNC_INSTANCES__C__HOSTNAME="c.example.com").config
    assert [one.name for one in config.instances] == ["emea", "b", "a", "c"]


def test_a_fleet_at_rest_is_allowed_and_noticed(load: Load) -> None:
    """Disabling every instance is no mistake, but said."""
    (warning,) = load(VALID + "enabled = false").warnings
    assert "every instance is disabled" in warning.what


def test_an_age_below_a_week_is_noticed(load: Load) -> None:
    """A weekly schedule with a maximum age of less than a week is said; a daily one is fine."""
    (warning,) = load(VALID + 'schedule = { max_age = "6d" }').warnings
    assert warning.where == "instances.emea.schedule.max_age"
    assert load(VALID + 'schedule = { max_age = "2d", cron = "0 1 * * *" }').warnings == ()
