"""The proxy that the environment names."""

import pytest

from licsync_daemon.http.route import environment_proxy


@pytest.mark.parametrize(
    "proxy",
    ["http://169.254.169.254", "169.254.169.254:3128", "http://svc:hunter2@[fd00:ec2::254]:3128", "http://2852039166:80", "http://Metadata.Google.Internal.:3128"],
)  # fmt: skip
def test_a_metadata_service_is_no_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """In any spelling, with or without a login; the message repeats no part of it."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ValueError, match=r"^not the address of a proxy$"):
        environment_proxy("https://ghes.example.com")


@pytest.mark.parametrize("proxy", ["http://proxy_of_the_company:3128", "http://svc:hunter2@10.0.0.7:3128", "http://[fd12::1]:3128"])
def test_other_proxies_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Their names follow looser rules than those of the configuration."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    assert environment_proxy("https://ghes.example.com") == proxy
