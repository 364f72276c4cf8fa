"""Copy a whole state from one engine to another, and compare every row."""

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.state.engine import Engine
from licsync_daemon.state.storable import storable

TABLES = (
    "run",
    "transition",
    "delivery",
    "instance",
    "seats",
    "decision",
    "digest",
    "confirmed_usage",
    "listed",
    "alert",
    "pruned",
    "set_aside",
)
DIGESTS = frozenset({"digest", "confirmed_usage"})
NUMBERED = {
    "run": "seq",
    "seats": "seq",
    "decision": "seq",
    "listed": "number",
    "set_aside": "number",
}  # their column for the order of recording
AT_ONCE = 100  # rows
_ROW = "row number"
_Row = dict[str, Any]


def copy(source: Engine, target: Engine, tables: Sequence[str]) -> dict[str, int]:
    """Copy the rows of tables into empty ones, in their order; return how many of each. The caller has opened a transaction."""
    return {table: _copy(source, target, table) for table in tables}


def _copy(source: Engine, target: Engine, table: str) -> int:
    count = 0
    for rows in _batches(source, table):
        names = [name for name in rows[0] if name != _ROW]
        columns = names if table in NUMBERED else [*names, "rowid"]
        marks = ", ".join("?" * len(columns))
        quoted = ", ".join(f'"{name}"' for name in columns)
        values = [[row[_ROW if name == "rowid" else name] for name in columns] for row in rows]
        target.executemany(f"INSERT INTO {table} ({quoted}) VALUES ({marks})", values)  # noqa: S608 - our own names
        count += len(rows)
    return count


def difference(source: Engine, target: Engine, tables: Collection[str]) -> str | None:
    """Return the first difference between two states, in words; None if all rows of the tables are equal."""
    for table in tables:
        for number, (ours, theirs) in enumerate(zip_longest(_rows(source, table), _rows(target, table))):
            if ours is None or theirs is None:
                return f"{table} has {'more' if ours is None else 'fewer'} than the {number} rows that were compared"
            if ours != theirs:
                columns = [name for name in ours if ours[name] != theirs.get(name)]
                return f"row {ours[_ROW]} of {table} differs in {', '.join(columns)}"
    return None


def check(source: Engine, target: Engine, tables: Collection[str]) -> None:
    """Raise `StateUnwritableError` with the first difference between two states."""
    found = difference(source, target, tables)
    if found is not None:
        raise StateUnwritableError(f"the copy is not the same as the original: {found}")


def count(engine: Engine) -> int:
    """Return how many rows of any kind a state has."""
    return sum(int(engine.execute(f"SELECT count(*) AS rows FROM {table}").fetchone()["rows"]) for table in TABLES)  # noqa: S608


def _rows(engine: Engine, table: str) -> Iterator[_Row]:
    for rows in _batches(engine, table):
        for row in rows:
            yield {name: storable(value) for name, value in row.items()}


def _batches(engine: Engine, table: str) -> Iterator[list[_Row]]:
    """Yield the rows of a table in the order of recording, some at a time; each with its number."""
    last = -(2**63)
    order = NUMBERED.get(table, "rowid")
    while True:
        sql = f'SELECT {order} AS "{_ROW}", * FROM {table} WHERE {order} > ? ORDER BY {order} LIMIT {AT_ONCE}'  # noqa: S608 - our own names
        found = [{name: value for name, value in dict(row).items() if name != "rowid"} for row in engine.execute(sql, (last,)).fetchall()]
        if not found:
            return
        yield found
        last = found[-1][_ROW]
