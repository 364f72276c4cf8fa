"""Secrets in the file: refused, located, never repeated."""

import pytest

from .conftest import CLOUD, DEFAULTS, EMEA, VALID, Refuse

VALUE = "ghp_0123456789abcdefghijABCDEFGHIJ012345"


A_SECRET_IN_THE_FILE_IS_REFUSED_AND_NEVER_PRINTED = [
        (f'[cloud]\ntoken = "{VALUE}"\nenterprise = "octo"\n{DEFAULTS}{EMEA}', "cloud.token"),
        (f'[cloud]\nproxy_auth = "{VALUE}"\nenterprise = "octo"\n{DEFAULTS}{EMEA}', "cloud.proxy_auth"),
        (f'{VALID}source.token = "{VALUE}"', "instances.emea.source.token"),
        (f'{VALID}delivery.token = "{VALUE}"', "instances.emea.delivery.token"),
        (f'{VALID}delivery.proxy_auth = "{VALUE}"', "instances.emea.delivery.proxy_auth"),
        (f'{VALID}proxy_auth = "{VALUE}"', "instances.emea.proxy_auth"),
        (f'{VALID}source.kind = "ssh"\n[instances.emea.counts]\nkind = "file"\npath = "/x"\ntoken = "{VALUE}"', "instances.emea.counts.token"),
        (f"{VALID}[notify.mail]\nhost='h'\nfrom='a@b'\nto=['a@b']\npassword='{VALUE}'", "notify.mail.password"),
        (f"{VALID}[notify.webhook]\nurl='https://a'\ntoken='{VALUE}'", "notify.webhook.token"),
        (f"{VALID}[notify.webhook]\nurl='https://a'\nsecret_path='/{VALUE}'", "notify.webhook.secret_path"),
        (f'{CLOUD}{DEFAULTS}source.token = "{VALUE}"\n{EMEA}'.replace('source = { kind = "report", username = "reader" }', 'source.kind = "report"\nsource.username = "reader"'), "defaults.source.token"),
        (f'{CLOUD}{DEFAULTS}proxy_auth = "{VALUE}"\n{EMEA}', "defaults.proxy_auth"),
    ]  # fmt: skip


def test_a_secret_in_the_file_is_refused_and_never_printed(refuse: Refuse, subtests: pytest.Subtests) -> None:
    """Each secret is refused with the credential file it belongs to, and its value is in no text."""
    for text, path in A_SECRET_IN_THE_FILE_IS_REFUSED_AND_NEVER_PRINTED:
        with subtests.test(text=text, path=path):
            (problem,) = refuse(text)
            assert path == problem.where
            assert f"/etc/licsync/credentials/{path.replace('.', '__')} " in problem.hint
            assert VALUE not in repr(problem) + str(problem)


A_SECRET_IN_A_WRONG_PLACE_IS_REFUSED_AS_ONE = [
    'token = "{}"',
    'password = "{}"',
    'source.password = "{}"',
    'schedule.secret = "{}"',
    "token = ['{}']",
]


def test_a_secret_in_a_wrong_place_is_refused_as_one(refuse: Refuse, subtests: pytest.Subtests) -> None:
    """A key that is called like a secret is treated as one, even where there is no such option."""
    for line in A_SECRET_IN_A_WRONG_PLACE_IS_REFUSED_AS_ONE:
        with subtests.test(line=line):
            (problem,) = refuse(VALID + line.format(VALUE))
            assert problem.what == "secrets are not allowed in this file"
            assert VALUE not in repr(problem)


def test_the_folder_named_is_the_configured_one(refuse: Refuse) -> None:
    """The advice names the credentials folder that is configured, the environment's before the file's."""
    text = f'credentials_dir = "/srv/a"\n{VALID}source.token = "{VALUE}"'
    assert "/srv/a/instances__emea__source__token" in refuse(text)[0].hint
    assert "/srv/b/instances__emea__source__token" in refuse(text, LICSYNC_CREDENTIALS_DIR="/srv/b")[0].hint


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'tokn = "{VALUE}"\n{VALID}', id="misspelled"),
        pytest.param(f'[cloud]\ntokn = "{VALUE}"\n', id="misspelled beside a missing key"),
        pytest.param(f'{VALID}proxy = "http://mona:{VALUE}@proxy.example.com"', id="password of a proxy"),
        pytest.param(f'{VALID}url = "https://{VALUE}@ghes.example.com"', id="user name in a URL"),
        pytest.param(f'{VALID}url = "https://ghes.example.com/?token={VALUE}"', id="query"),
        pytest.param(f'{VALID}server_id = ["{VALUE}"]', id="wrong type"),
        pytest.param(f'{VALID}source.username = "{VALUE} {VALUE}"', id="wrong field"),
        pytest.param(f'{VALID}counts = "{VALUE}"', id="in place of counts"),
        pytest.param(f'{VALID}source = {{ kind = "ssh", command = "{VALUE}" }}', id="command"),
        pytest.param(f'{VALID}source = {{ kind = "command", command = ["/nonexistent/{VALUE}"] }}', id="program"),
        pytest.param(f'{CLOUD}retired = ["ghes-emea.example.com", "{VALUE}", "{VALUE}"]\n{DEFAULTS}{EMEA}server_id = "{VALUE}"', id="a server"),
        pytest.param(f'{VALID}delivery = {{ kind = "manual", outbox = {{ path = "/x", group = "{VALUE[:30]}" }} }}', id="group"),
        pytest.param(f'{VALID}reason = "{VALUE}"', id="reason"),
        pytest.param(f'{VALID}[notify.mail]\nhost = "{VALUE}"\nfrom = "{VALUE}"\nto = ["{VALUE}"]\nsecurity = "{VALUE}"', id="mail"),
        pytest.param(f'{VALID}[notify.webhook]\nurl = "https://h/?k={VALUE}"', id="webhook"),
        pytest.param(f'cloud = "{VALUE}"\n{DEFAULTS}{EMEA}', id="in place of a table"),
        pytest.param(f'{VALID}schedule.cron = "{VALUE}"', id="cron"),
        pytest.param(f'{VALID}schedule.timezone = "{VALUE}"', id="zone"),
        pytest.param(f'{VALID}enabled = "{VALUE}"', id="flag"),
        pytest.param(f"{VALID}token = {VALUE}", id="no quotes"),
        pytest.param(f'{VALID}token = "{VALUE}', id="no closing quote"),
    ],
)  # fmt: skip
def test_no_text_repeats_a_secret_that_strayed(refuse: Refuse, text: str) -> None:
    """Wherever a secret ends up by mistake, the message about it is free of it."""
    assert VALUE not in repr(refuse(text))


def test_no_secret_hangs_on_the_error(load_error: Exception) -> None:
    """The error carries no cause or context whose text could hold an input value."""
    assert VALUE not in f"{load_error!r} {load_error.__cause__!r}"
    assert load_error.__suppress_context__


@pytest.fixture
def load_error(tmp_path, load):  # type: ignore[no-untyped-def]
    from licsync_daemon.model.errors import ConfigError

    with pytest.raises(ConfigError) as refused:
        load(f'[cloud]\ntoken = "{VALUE}"\n')
    return refused.value
