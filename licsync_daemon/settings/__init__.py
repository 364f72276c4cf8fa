"""The configuration: TOML and environment become plain values, with every mistake at once; and the credentials.

The only package that imports pydantic and pydantic-settings. `load.py` is where to begin; `options.py` and `parts.py` list every option.
"""

from licsync_daemon.settings.load import Loaded, load_config
from licsync_daemon.settings.schema import example_text, settings_schema
from licsync_daemon.settings.show import SettingRow, describe_settings

__all__ = ["Loaded", "SettingRow", "describe_settings", "example_text", "load_config", "settings_schema"]
