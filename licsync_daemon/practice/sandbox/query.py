"""Read the GraphQL that the sandbox understands: one query with variables, fields, arguments, and inline fragments.

No aliases, directives, named fragments, lists or mutations: whoever sends one is told so, never misunderstood.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r'(?:(\.\.\.|[{}()$:!,=\[\]@&|])|([A-Za-z_]\w*)|(-?\d+)|("(?:[^"\\\n]|\\["\\/bfnrt])*"))')
_BLANK = re.compile(r"(?:[\s,]|#[^\n]*)*")
END = ""


class QueryError(Exception):
    """A query that cannot be understood; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name` where a value is wanted."""

    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """A value of an enumeration."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `selections` is None where no braces follow."""

    name: str
    arguments: Mapping[str, Any]
    selections: "tuple[Field | Fragment, ...] | None"


@dataclass(frozen=True, slots=True)
class Fragment:
    """`... on TYPE { … }`."""

    on: str
    selections: "tuple[Field | Fragment, ...]"


@dataclass(frozen=True, slots=True)
class Query:
    """One query: the types of its variables by name (`Int!`), and its selections."""

    variables: Mapping[str, str]
    selections: tuple[Field | Fragment, ...]


def read_query(text: str) -> Query:
    """Parse a query.

    Raises:
        QueryError: it is none, or uses what the sandbox does not play.
    """
    try:
        return _Parser(text).query()
    except RecursionError as error:
        raise QueryError("The query is nested too deeply") from error


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def query(self) -> Query:
        variables: dict[str, str] = {}
        if self._next_is("query"):
            self._take()
            if self._peek().isidentifier():
                self._take()
            if self._next_is("("):
                variables = dict(self._between("(", ")", self._variable))
        selections = self._selections()
        if self._peek() != END:
            raise self._unexpected("the end")
        return Query(variables, selections)

    def _variable(self) -> tuple[str, str]:
        self._expect("$")
        name = self._name()
        self._expect(":")
        kind = self._name()
        if self._next_is("!"):
            kind += self._take()
        return name, kind

    def _selections(self) -> tuple[Field | Fragment, ...]:
        return tuple(self._between("{", "}", self._selection))

    def _selection(self) -> Field | Fragment:
        if self._next_is("..."):
            self._take()
            self._expect("on")
            return Fragment(self._name(), self._selections())
        name = self._name()
        arguments = dict(self._between("(", ")", self._argument)) if self._next_is("(") else {}
        return Field(name, arguments, self._selections() if self._next_is("{") else None)

    def _argument(self) -> tuple[str, Any]:
        name = self._name()
        self._expect(":")
        return name, self._value()

    def _value(self) -> Any:
        found = self._peek()
        if found == "{":
            return dict(self._between("{", "}", self._argument))
        self._take()
        if found == "$":
            return Variable(self._name())
        if found.startswith('"'):
            return json.loads(found)
        if found.lstrip("-").isdigit():
            return int(found)
        if found in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[found]
        if found.isidentifier():
            return Word(found)
        self._at -= 1
        raise self._unexpected("a value")

    def _between(self, opening: str, closing: str, one: Any) -> list[Any]:
        self._expect(opening)
        found = [one()]
        while not self._next_is(closing):
            found.append(one())
        self._take()
        return found

    def _name(self) -> str:
        if not self._peek().isidentifier():
            raise self._unexpected("a name")
        return self._take()

    def _expect(self, token: str) -> None:
        if not self._next_is(token):
            raise self._unexpected(repr(token))
        self._take()

    def _next_is(self, token: str) -> bool:
        return self._peek() == token

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _unexpected(self, wanted: str) -> QueryError:
        return QueryError(f"Expected {wanted}, found {self._peek()[:40]!r} (token {self._at + 1})")


def _tokens(text: str) -> Iterator[str]:
    place = _blank(text, 0)
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise QueryError(f"Unexpected character {text[place]!r} at {place}")
        yield found[found.lastindex or 0]
        place = found.end() + _blank(text, found.end())
    yield END


def _blank(text: str, place: int) -> int:
    """Count what means nothing from `place` on: white space, commas, comments."""
    found = _BLANK.match(text, place)
    return len(found[0]) if found else 0
