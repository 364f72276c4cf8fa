"""The JSON schema for editors, and the commented example file."""

from importlib import resources
from typing import Any

from licsync_daemon.settings.options import KEYS, Settings


def settings_schema() -> dict[str, Any]:
    """Return the JSON schema of the file: without secrets, which it may not hold, and without null, which TOML lacks."""
    schema: dict[str, Any] = _tidied(Settings.model_json_schema())
    for part, keys in KEYS.items():
        schema["$defs"][f"{part.capitalize()}Table"]["allOf"] = [_only(kind, ("kind", *allowed)) for kind, allowed in keys.items()]
    schema["$defs"]["CloudTable"]["oneOf"] = [{"required": ["enterprise"]}, {"required": ["organization"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def example_text() -> str:
    """Return the commented example configuration."""
    return resources.files(__package__).joinpath("example.toml").read_text(encoding="utf-8")


def _only(kind: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a rule: a table that says this kind has no other keys."""
    says_so = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
    return {"if": says_so, "then": {"propertyNames": {"enum": list(keys)}}}


def _tidied(node: Any) -> Any:
    if isinstance(node, list):
        return [_tidied(one) for one in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items() if not (key == "default" and value is None)}
    choices = [one for one in tidy.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        del tidy["anyOf"]
        tidy = {**choices[0], **tidy}
    if isinstance(tidy.get("properties"), dict):
        tidy["properties"] = {key: value for key, value in tidy["properties"].items() if not _is_secret(value)}
    return tidy


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get("format") == "password"
