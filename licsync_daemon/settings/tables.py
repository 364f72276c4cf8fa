"""What a table of options is, and what its fields say about them."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from itertools import chain
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.fields import FieldInfo


class Table(BaseModel):
    """A table of the file. An unknown key is a mistake, and no error text repeats a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


def defaults_of(plain: type[Any]) -> dict[str, Any]:
    """Return the defaults of a plain value, by name."""
    return {one.name: one.default for one in fields(plain) if one.default is not MISSING}


def keys_of(*tables: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of tables, as the file calls them."""
    return {field.alias or name: field for one in tables for name, field in one.model_fields.items()}


def is_secret(field: FieldInfo) -> bool:
    """Say whether a field holds a secret."""
    return SecretStr in get_args(field.annotation)


def is_list(field: FieldInfo) -> bool:
    """Say whether a field holds a list."""
    return get_origin(field.annotation) is tuple


def is_table(field: FieldInfo) -> bool:
    """Say whether a field holds keys of its own."""
    return get_origin(field.annotation) is dict or any(tables_in(field.annotation))


def tables_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the tables that a field can be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not dict:
        yield from chain.from_iterable(map(tables_in, get_args(annotation)))
