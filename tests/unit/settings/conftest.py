"""A valid configuration, and fixtures that load a changed one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.settings import Loaded, load_config

CLOUD = '[cloud]\nenterprise = "octo"\n'
DEFAULTS = """
[defaults]
source = { kind = "report", username = "reader" }
delivery = { kind = "http", url = "https://relay.example.com/uploads" }
"""
EMEA = '[instances.emea]\nhostname = "ghes-emea.example.com"\n'
VALID = CLOUD + DEFAULTS + EMEA

Load = Callable[..., Loaded]
Refuse = Callable[..., tuple[Problem, ...]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str = VALID, **environ: str) -> Loaded:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, environ)

    return load_text


@pytest.fixture
def refuse(load: Load) -> Refuse:
    def problems_of(text: str = VALID, **environ: str) -> tuple[Problem, ...]:
        with pytest.raises(ConfigError) as refused:
            load(text, **environ)
        return refused.value.problems

    return problems_of
