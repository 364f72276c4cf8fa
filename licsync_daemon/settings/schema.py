"""The JSON schema for editors, and the commented example file."""

from datetime import timedelta
from importlib import resources
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from licsync_daemon.settings.options import Settings
from licsync_daemon.settings.parts import PARTS, kinds
from licsync_daemon.settings.values import format_duration


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Return a default as the file has it; pydantic writes a duration in ISO 8601."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def settings_schema() -> dict[str, Any]:
    """Return the JSON schema of the file: without secrets, which are not allowed in it, and without null, which TOML lacks."""
    schema: dict[str, Any] = _tidied(Settings.model_json_schema(schema_generator=_Generator))
    tables = schema["$defs"]
    merged = {f"{part.capitalize()}Table": _any_kind(part, tables) for part in PARTS}
    for one in {one.__name__ for part in PARTS for one in kinds(part).values()}:
        del tables[one]
    tables |= merged
    for holder in ("DefaultsTable", "InstanceTable"):
        for part in PARTS:
            text = tables[holder]["properties"][part]["description"]
            tables[holder]["properties"][part] = {"$ref": f"#/$defs/{part.capitalize()}Table", "description": text}
    tables["CloudTable"]["oneOf"] = [{"required": ["enterprise"]}, {"required": ["organization"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def example_text() -> str:
    """Return the commented example configuration."""
    return resources.files(__package__).joinpath("example.toml").read_text(encoding="utf-8")


def _any_kind(part: str, tables: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a source, counts or delivery in the file, where an inherited option, even the kind, can be omitted."""
    properties: dict[str, Any] = {}
    homes: dict[str, list[str]] = {}
    for kind, one in kinds(part).items():
        for key, value in tables[one.__name__]["properties"].items():
            homes.setdefault(key, []).append(kind)
            properties.setdefault(key, value)
    for key, value in properties.items():
        properties[key] = {**value, "description": f"{', '.join(homes[key])}: {value.get('description')}"}
    meanings = (f'"{kind}": {one.__doc__}' for kind, one in kinds(part).items())
    properties["kind"] = {"type": "string", "enum": list(kinds(part)), "description": " ".join(meanings)}
    rules = [_only(kind, [key for key, having in homes.items() if kind in having]) for kind in kinds(part)]
    return {"type": "object", "additionalProperties": False, "properties": properties, "allOf": rules}


def _only(kind: str, keys: list[str]) -> dict[str, Any]:
    """Return a rule: a table of this kind has no other keys."""
    is_of_kind = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
    return {"if": is_of_kind, "then": {"propertyNames": {"enum": keys}}}


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
