"""The configuration: read, layered, checked whole, and handed on as plain values.

The only package that knows pydantic. `models.py` lists every option; `docs/configuration.md` explains them.
"""

from licsync_daemon.settings.load import Loaded, load_config
from licsync_daemon.settings.schema import example_text, settings_schema
from licsync_daemon.settings.show import SettingRow, describe_settings

__all__ = ["Loaded", "SettingRow", "describe_settings", "example_text", "load_config", "settings_schema"]
