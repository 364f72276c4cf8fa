"""A valid configuration as plain values: built-in defaults, layers, schedules, names of credentials."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.instance import (
    CloudAccount,
    CommandSource,
    Config,
    ConnectDelivery,
    Destination,
    FileSource,
    HttpDelivery,
    Instance,
    MailNotifier,
    ManualDelivery,
    NoSource,
    ReportSource,
    Schedule,
    SshSource,
    WebhookNotifier,
)
from licsync_daemon.settings.convert import stable_cron

from .conftest import CLOUD, DEFAULTS, EMEA, VALID, Load


def only(config: Config) -> Instance:
    (instance,) = config.instances
    return instance


def test_a_small_file_becomes_a_whole_configuration(load: Load) -> None:
    """Options that a short file does not set have the documented defaults."""
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
    """The instance overrides the defaults, and the defaults override the built-in values."""
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


CONNECT = '[defaults]\ndelivery = { kind = "connect" }\n'
MANUAL = '[defaults]\ndelivery = { kind = "manual", outbox = { path = "/srv/outbox", group = "root" } }\n'


EVERY_KIND_OF_SOURCE_BECOMES_ITS_VALUE = [
    ("", NoSource()),
    ('{ kind = "none" }', NoSource()),
    ('{ kind = "file", path = "/srv/in" }', FileSource(path=Path("/srv/in"))),
    ('{ kind = "File", path = "/srv/in", max_export_bytes = 9 }', FileSource(path=Path("/srv/in"), max_export_bytes=9)),
    ('{ kind = "command", command = ["/bin/sh", "-c x"] }', CommandSource(command=("/bin/sh", "-c x"))),
    (
        '{ kind = "command", command = ["/bin/sh"], timeout = "1m", max_export_bytes = 9 }',
        CommandSource(command=("/bin/sh",), timeout=timedelta(minutes=1), max_export_bytes=9),
    ),
    (
        '{ kind = "ssh" }',
        SshSource(
            host="ghes-emea.example.com",
            private_key_credential=("instances__emea__source__identity", "defaults__source__identity"),
            known_hosts=Path("/etc/licsync/known_hosts"),
        ),
    ),
    (
        (
            '{ kind = "ssh", user = "reader", port = 22, command = ["ghe-license-usage"], identity = "/dev/null", known_hosts = "/dev/zero", '
            'connect_timeout = "5s", timeout = "1m", max_export_bytes = 9 }'
        ),
        SshSource(
            host="ghes-emea.example.com",
            user="reader",
            port=22,
            command=("ghe-license-usage",),
            private_key=Path("/dev/null"),
            known_hosts=Path("/dev/zero"),
            connect_timeout=timedelta(seconds=5),
            timeout=timedelta(minutes=1),
            max_export_bytes=9,
        ),
    ),
]


def test_every_kind_of_source_becomes_its_value(load: Load, subtests: pytest.Subtests) -> None:
    """Each key of each kind reaches its place, and the others have their default; an SSH host has no port of its own."""
    for source, expected in EVERY_KIND_OF_SOURCE_BECOMES_ITS_VALUE:
        with subtests.test(source=source, expected=expected):
            text = CLOUD + CONNECT + EMEA.replace(".com", ".com:8443") + (f"source = {source}" if source else "")
            assert only(load(text).config).source == expected


EVERY_KIND_OF_DELIVERY_BECOMES_ITS_VALUE = [
    (CONNECT, "", ConnectDelivery()),
    (MANUAL, "", ManualDelivery(outbox=Path("/srv/outbox"), group="root")),
    (MANUAL, 'delivery.outbox.group = "daemon"', ManualDelivery(outbox=Path("/srv/outbox"), group="daemon")),
    (MANUAL, 'delivery.outbox.path = "/srv/other"', ManualDelivery(outbox=Path("/srv/other"), group="root")),
    (MANUAL, 'delivery.kind = "connect"', ConnectDelivery()),
    (DEFAULTS, 'delivery.kind = "manual"\nsource.kind = "none"', ManualDelivery()),
]


def test_every_kind_of_delivery_becomes_its_value(load: Load, subtests: pytest.Subtests) -> None:
    """An outbox is laid key by key, and another kind of delivery takes nothing from the default one."""
    for defaults, own, expected in EVERY_KIND_OF_DELIVERY_BECOMES_ITS_VALUE:
        with subtests.test(defaults=defaults, own=own, expected=expected):
            assert only(load(CLOUD + defaults + EMEA + own).config).delivery == expected


def test_a_client_certificate_goes_to_the_endpoint_alone(load: Load) -> None:
    """The certificate we show belongs to the delivery, not to the instance or the cloud."""
    config = load(VALID + 'delivery = { client_cert = "/dev/null", client_key = "/dev/zero" }').config
    emea = only(config)
    assert (emea.delivery.at.client_cert, emea.delivery.at.client_key) == (Path("/dev/null"), Path("/dev/zero"))
    assert (emea.source.at.client_cert, config.cloud.at.client_cert) == (None, None)


def test_a_report_keeps_its_place_with_connect(load: Load) -> None:
    """A default source that an instance does not replace is read whatever carries the usage."""
    emea = only(load(VALID + 'delivery = { kind = "connect" }').config)
    assert (emea.source.kind, emea.delivery) == ("report", ConnectDelivery())


def counts_at(*tokens: str, username: str = "reader") -> ReportSource:
    return ReportSource(at=Destination(url="https://ghes-emea.example.com", token=tokens), username=username)


TOKENS = ("instances__emea__counts__token", "defaults__counts__token", "defaults__source__token")


COUNTS_STAND_BESIDE_AN_OPAQUE_SOURCE = [
    ("", 'counts = { kind = "report", username = "reader" }', counts_at(*TOKENS)),
    ("", 'counts = { kind = "file", path = "/srv/in" }', FileSource(path=Path("/srv/in"))),
    ('counts = { kind = "report", username = "reader" }\n', "", counts_at(*TOKENS)),
    ('counts = { kind = "report", username = "reader" }\n', 'counts.username = "other"', counts_at(*TOKENS, username="other")),
    ('counts = { kind = "report", username = "reader" }\n', 'source.kind = "none"', None),
    ('counts = { kind = "report", username = "reader" }\n', 'source = { kind = "file", path = "/x" }\nreachable = false', None),
    (
        'counts = { kind = "file", path = "/y" }\n',
        'source = { kind = "file", path = "/x" }\nreachable = false',
        FileSource(path=Path("/y")),
    ),
    ("", "", None),
]


def test_counts_stand_beside_an_opaque_source(load: Load, subtests: pytest.Subtests) -> None:
    """Counts override those of the defaults, which apply to opaque sources only, and never contact an unreachable instance."""
    for general, own, expected in COUNTS_STAND_BESIDE_AN_OPAQUE_SOURCE:
        with subtests.test(general=general, own=own, expected=expected):
            text = f'{CLOUD}[defaults]\ndelivery.kind = "connect"\nsource.kind = "ssh"\n{general}{EMEA}{own}'
            assert only(load(text).config).counts == expected


def test_an_instance_that_is_never_synced_is_only_listed(load: Load) -> None:
    """Nothing is read from it or sent for it, whatever the defaults are; its reason is kept."""
    emea = only(load(VALID + 'sync = false\nreason = "data stays on site"').config)
    assert (emea.unsynced_because, emea.source, emea.delivery, emea.counts) == ("data stays on site", NoSource(), ConnectDelivery(), None)
    assert (emea.is_active, emea.has_slots) == (False, False)


def test_an_air_gapped_instance_is_not_reachable(load: Load) -> None:
    """`reachable` is true by default."""
    text = CLOUD + MANUAL + EMEA
    assert [only(load(one).config).reachable for one in (text, text + "reachable = false")] == [True, False]


def test_the_cloud_may_be_an_organization(load: Load) -> None:
    """Exactly one of the two is set; servers of others are kept in the form the cloud lists them in."""
    cloud = load(
        CLOUD.replace("enterprise", "organization")
        + 'watch_every = "90m"\nelsewhere = ["GHES-Other.example.com:443", "Id-9"]\nretired = ["old.example.com"]\nverified_domains = ["Example.com"]\n'
        + DEFAULTS
        + EMEA
    ).config.cloud
    assert (cloud.enterprise, cloud.organization, cloud.watch_every) == (None, "octo", timedelta(minutes=90))
    assert (cloud.elsewhere, cloud.retired) == (("ghes-other.example.com", "Id-9"), ("old.example.com",))
    assert cloud.verified_domains == ("example.com",)


def test_every_instance_knows_how_often_the_cloud_is_read(load: Load) -> None:
    """`watch_every` is the cloud's, and each instance has it."""
    text = CLOUD + 'watch_every = "1m"\n' + DEFAULTS + EMEA
    assert only(load(text).config).watch_every == timedelta(minutes=1)


MAIL = '[notify.mail]\nhost = "SMTP.example.com"\nfrom = "licsync@example.com"\nto = ["a@example.com", "b@example.com"]\n'


def test_mail_has_the_port_of_its_security(load: Load, subtests: pytest.Subtests) -> None:
    """Each kind of security has its usual port, unless `port` is set."""
    for security, port in [("", 587), ('security = "tls"\n', 465), ('security = "none"\n', 25), ("port = 2525\n", 2525)]:
        with subtests.test(security=security, port=port):
            (mail,) = load(VALID + MAIL.replace("SMTP.example.com", "localhost") + security).config.notify
            assert mail.port == port


def test_notifiers_become_values(load: Load) -> None:
    """A login at the mail server needs a password; a webhook may have a token and a proxy with a login."""
    webhook = '[notify.webhook]\nurl = "https://alerts.example.com/x"\nproxy = "http://proxy.example.com:1"\nca_file = "/dev/null"\n'
    anonymous, hook = load(VALID + MAIL + webhook).config.notify
    expected = MailNotifier(host="smtp.example.com", sender="licsync@example.com", to=("a@example.com", "b@example.com"))
    assert anonymous == expected
    assert hook == WebhookNotifier(
        at=Destination(
            url="https://alerts.example.com/x",
            proxy="http://proxy.example.com:1",
            proxy_auth=("notify__webhook__proxy_auth",),
            ca_file=Path("/dev/null"),
            token=("notify__webhook__token",),
        ),
        secret_path=("notify__webhook__secret_path",),
    )
    (known,) = load(VALID + MAIL + 'username = "licsync"\nca_file = "/dev/null"').config.notify
    assert (known.username, known.password, known.ca_file) == ("licsync", ("notify__mail__password",), Path("/dev/null"))


PROXY = 'proxy = "http://{}.example.com:1"\n'


THE_LOGIN_OF_A_PROXY_BELONGS_TO_THAT_PROXY = [
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
]


def test_the_login_of_a_proxy_belongs_to_that_proxy(load: Load, subtests: pytest.Subtests) -> None:
    """A proxy comes from the most specific table that has one, and the login for another proxy is never looked up."""
    for defaults, instance, source, delivery in THE_LOGIN_OF_A_PROXY_BELONGS_TO_THAT_PROXY:
        with subtests.test(defaults=defaults, instance=instance, source=source, delivery=delivery):
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
    """With `env` no login is looked up: it is part of the environment's address."""
    emea = only(load(VALID + 'proxy = "env"').config)
    assert (emea.source.at.proxy, emea.source.at.proxy_auth) == ("env", ())


EVERY_WAY_OF_SAYING_A_TIME_BECOMES_ONE_CRON_EXPRESSION = [
    ("", "", "41 4 * * 1"),
    ('day = "sunday"\ntime = "02:30"', "", "30 2 * * 0"),
    ('day = "Saturday"\ntime = "23:05"', "", "5 23 * * 6"),
    ('cron = "0 3 * * 1,4"', "", "0 3 * * 1,4"),
    ('day = "sunday"\ntime = "02:30"', 'day = "monday"', "30 2 * * 1"),
    ('time = "02:30"', 'day = "monday"', "30 2 * * 1"),
    ('day = "sunday"\ntime = "02:30"', 'cron = "1 1 * * 1"', "1 1 * * 1"),
    ('cron = "1 1 * * 1"', 'day = "monday", time = "00:00"', "0 0 * * 1"),
]


def test_every_way_of_saying_a_time_becomes_one_cron_expression(load: Load, subtests: pytest.Subtests) -> None:
    """Weekday and time, a cron expression, or nothing: each is one expression in the configured zone."""
    for general, own, expected in EVERY_WAY_OF_SAYING_A_TIME_BECOMES_ONE_CRON_EXPRESSION:
        with subtests.test(general=general, own=own, expected=expected):
            text = f'{CLOUD}[schedule]\ntimezone = "Europe/Berlin"\n{general}\n{DEFAULTS}{EMEA}' + (
                f"schedule = {{ {own} }}" if own else ""
            )
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


AN_INSTANCE_MAY_BE_DUE_EVERY_FEW_WEEKS = [
    ("", "", 1, 8),
    ('every = "7d"', "", 1, 8),
    ('every = "14d"', "", 2, 15),
    ('every = "14d"', 'schedule.every = "28d"', 4, 29),
    ('every = "14d"', 'schedule.max_age = "20d"', 2, 20),
    ('max_age = "20d"', 'schedule.every = "14d"', 2, 20),
    ('every = "14d"', 'schedule.cron = "0 1 * * 1"', 1, 8),
    ('cron = "0 1 * * 1"', 'schedule.every = "14d"', 2, 15),
    ('every = "14d"', 'delivery = { kind = "connect" }', 2, 8),
]


def test_an_instance_may_be_due_every_few_weeks(load: Load, subtests: pytest.Subtests) -> None:
    """The default of max_age is `every` plus one day; GitHub Connect syncs every week whatever `every` says."""
    for general, own, weeks, max_age in AN_INSTANCE_MAY_BE_DUE_EVERY_FEW_WEEKS:
        with subtests.test(general=general, own=own, weeks=weeks, max_age=max_age):
            emea = only(load(f"{CLOUD}[schedule]\n{general}\n{DEFAULTS}{EMEA}{own}").config)
            assert (emea.schedule.every_weeks, emea.max_age) == (weeks, timedelta(days=max_age))


def test_a_fleet_at_rest_is_allowed_and_noticed(load: Load, subtests: pytest.Subtests) -> None:
    """A fleet without active instances is valid, with a warning."""
    for own in ["enabled = false", 'sync = false\nreason = "stays on site"']:
        with subtests.test(own=own):
            (warning,) = load(VALID + own).warnings
            assert "every instance is disabled or never synced" in warning.what


def test_an_age_below_a_week_is_noticed(load: Load) -> None:
    """A weekly schedule with a maximum age of less than a week is a warning; a daily one is fine."""
    (warning,) = load(VALID + 'schedule = { max_age = "6d" }').warnings
    assert warning.where == "instances.emea.schedule.max_age"
    assert load(VALID + 'schedule = { max_age = "2d", cron = "0 1 * * *" }').warnings == ()


def test_a_port_of_a_mail_server_that_expects_another_security_is_noticed(load: Load, subtests: pytest.Subtests) -> None:
    """On 465 the client begins with TLS, on 587 with STARTTLS; the default of `security` is "starttls"."""
    for own, hint in {
        "port = 465": 'security = "tls"',
        'port = 465\nsecurity = "starttls"': 'security = "tls"',
        'port = 587\nsecurity = "tls"': 'security = "starttls"',
        'port = 465\nsecurity = "tls"': None,
        'security = "tls"': None,
        "port = 2525": None,
    }.items():
        with subtests.test(own):
            mail = f'[notify.mail]\nhost = "mx.example.com"\nfrom = "a@example.com"\nto = ["b@example.com"]\n{own}'
            found = [one.hint for one in load(f"{VALID}{mail}").warnings if one.where == "notify.mail.security"]
            assert (len(found), all(hint in one for one in found if hint)) == (0 if hint is None else 1, True)


AN_AGE_IS_COMPARED_WITH_WHAT_REALLY_HAPPENS = [
    ('schedule = { max_age = "13d", every = "14d" }', "13d is shorter than 14d"),
    ('schedule = { max_age = "14d", every = "14d" }', None),
    ('schedule = { max_age = "6d", cron = "0 1 * * *" }\ndelivery = { kind = "connect" }', "6d is shorter than a week"),
    ('schedule = { max_age = "8d", every = "14d" }\ndelivery = { kind = "connect" }', None),
]


def test_an_age_is_compared_with_what_really_happens(load: Load, subtests: pytest.Subtests) -> None:
    """The weeks of the schedule count, and with GitHub Connect one week, whatever the schedule says."""
    for own, expected in AN_AGE_IS_COMPARED_WITH_WHAT_REALLY_HAPPENS:
        with subtests.test(own=own, expected=expected):
            warnings = load(VALID + own).warnings
            assert [one.what.partition(",")[0] for one in warnings] == ([expected] if expected else [])


def test_a_manual_delivery_without_a_channel_is_noticed(load: Load) -> None:
    """A manual delivery without a notification channel is valid, with a warning."""
    text = CLOUD + MANUAL + EMEA
    (warning,) = load(text).warnings
    assert (warning.where, "an export of emea waits" in warning.what) == ("notify", True)
    assert load(text + MAIL).warnings == ()
    assert load(text + 'enabled = false\n[instances.b]\nhostname = "b"\ndelivery.kind = "connect"').warnings == ()


def test_a_missing_known_hosts_file_is_noticed(load: Load) -> None:
    """Without its file no SSH host key is trusted; there is one warning for each file."""
    second = '[instances.b]\nhostname = "b"\nsource.kind = "ssh"\n'
    text = CLOUD + CONNECT + 'source.known_hosts = "/nonexistent/known_hosts"\n' + EMEA + 'source.kind = "ssh"\n' + second
    (warning,) = load(text).warnings
    assert "/nonexistent/known_hosts does not exist" in warning.what
    assert load(text.replace("/nonexistent/known_hosts", "/dev/null")).warnings == ()
