"""Which module may import what: third parties have one home each, our own imports point down only, and some parts stay apart."""

import ast
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = "licsync_daemon"
ROOT = Path(__file__).parents[2] / PACKAGE

# A third-party package, and a few of the standard library, with the only modules that may import it.
HOMES = {
    "httpx": ("http.client", "http.connection_errors"),
    "tenacity": ("http.retrier",),
    "apscheduler": ("daemon.alarms",),
    "pydantic": ("settings.*",),
    "pydantic_core": ("settings.*",),
    "pydantic_settings": ("settings.*",),
    "cronsim": ("rules.schedule", "settings.*"),
    "jinja2": ("cli.report.page",),
    "rich": ("cli.terminal",),
    "shtab": ("cli.completion",),
    "structlog": ("*",),
    "sqlite3": ("state.*",),
    "psycopg": ("state.postgresql",),
    "fcntl": ("system.filelock",),
    "aiosmtplib": ("monitoring.channels.mail",),
}

# The floors of the house, from the ground up. A folder imports itself and what lies on a lower floor, never a neighbor.
FLOORS = (
    ("__init__",),
    ("model",),
    ("rules", "settings"),
    ("system", "http", "insight"),
    ("sources", "deliveries", "cloud", "state"),
    ("sync", "monitoring"),
    ("daemon",),
    ("cli",),
    ("practice", "__main__"),
)
# Commands that import what lies above them, inside a function: nobody else loads the practice fleet, and `main` is not loaded for it.
LATE = {("cli.main", "practice.demo")}
# What the floors without I/O may import from outside, one module each: everything else might open a file, a socket or a database.
VALUES = frozenset({"collections.abc", "contextlib", "dataclasses", "datetime", "enum", "pathlib", "re", "shlex", "typing", "zoneinfo"})
PURE = {
    "model": VALUES | {"asyncio", "base64", "email.utils", "errno", "html", "urllib.parse"},  # asyncio: what a cancellation is
    "rules": VALUES | {"cronsim", "hashlib", "hmac", "itertools", "json", "struct", "textwrap", "urllib.parse"},
    "insight": VALUES - {"pathlib"} | {"functools", "heapq", "math", "unicodedata", "zlib"},
    "sync": VALUES - {"pathlib"} | {"asyncio", "secrets", "structlog", "sys"},
}
# How a file, a process or a connection is opened without an import of its own.
OPENS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "stat", "exists", "is_file", "is_dir", "iterdir", "glob", "unlink", "mkdir",
    "open_connection", "start_server", "create_subprocess_exec", "create_subprocess_shell", "to_thread", "run_in_executor",
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    module: str  # ours, without the package's name
    line: int
    name: str  # what it imports, whole

    def __str__(self) -> str:
        return f"{PACKAGE}/{self.module.replace('.', '/')}.py:{self.line} imports {self.name}"

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def ours(self) -> str | None:
        """The module of ours that is imported, without the package's name."""
        return self.name.removeprefix(PACKAGE).lstrip(".") or "__init__" if self.top == PACKAGE else None

    @property
    def folder(self) -> str:
        return self.module.partition(".")[0]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports() -> Iterator[Import]:
    """Find every import, those inside functions included."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (Import(module, node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                    base = ".".join([PACKAGE, *package[: len(package) - node.level + 1], *([base] if base else [])])
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    is_module = whole.removeprefix(f"{PACKAGE}.") in MODULES
                    yield Import(module, node.lineno, whole if is_module else base)


@cache
def every_import() -> tuple[Import, ...]:
    return tuple(imports())


def matches(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(module, pattern) or module == pattern.removesuffix(".*") for pattern in patterns)


def floor(module: str) -> int:
    return next(number for number, folders in enumerate(FLOORS) if module.partition(".")[0] in folders)


def test_the_graph_was_really_read() -> None:
    """The test sees the imports it is about, those inside functions included."""
    found = {(one.module, one.name) for one in every_import()}
    assert ("http.client", "httpx") in found
    assert ("rules.next_run", f"{PACKAGE}.rules.verdict") in found
    assert any(one.module == "cli.terminal" and one.top == "rich" for one in every_import())
    assert len(MODULES) > 50


def test_third_parties_have_one_home_each() -> None:
    """Every package from outside is imported where it belongs and nowhere else; one nobody named is a decision to be made here."""
    wrong = [
        f"{one} (only {' and '.join(HOMES[one.top])} may)" if one.top in HOMES else f"{one}, which has no home in this table"
        for one in every_import()
        if one.ours is None
        and not (matches(one.module, HOMES[one.top]) if one.top in HOMES else one.top in sys.stdlib_module_names or one.top == "__future__")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_house_has_rooms_and_no_clutter() -> None:
    """Every folder has its floor and its sentence; no module lies at the top of the package, and none is longer than 300 lines."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= {name for floor in FLOORS for name in floor}
    assert len(folders) <= 15
    assert {path.name for path in ROOT.iterdir() if path.is_file()} == {"__init__.py", "__main__.py", "py.typed"}
    silent = [name for name in folders if not ast.get_docstring(ast.parse((ROOT / name / "__init__.py").read_text(encoding="utf-8")))]
    assert not silent, f"no sentence in the __init__.py of: {', '.join(silent)}"
    long = [f"{name}: {lines}" for name, path in MODULES.items() if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300]
    assert not long, f"longer than 300 lines: {', '.join(long)}"


def test_imports_point_down() -> None:
    """A module imports only its own folder and what lies on a lower floor."""
    wrong = [
        str(one)
        for one in every_import()
        if one.ours is not None
        and one.folder != one.ours.partition(".")[0]
        and floor(one.ours) >= floor(one.module)
        and (one.module, one.ours) not in LATE
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_nobody_but_two_commands_knows_the_practice_fleet() -> None:
    """`practice/` is imported by itself, and by `demo` and `sandbox` inside a function."""
    wrong = [
        str(one)
        for one in every_import()
        if one.ours is not None and matches(one.ours, ("practice.*",)) and one.folder != "practice" and (one.module, one.ours) not in LATE
    ]
    assert not wrong, "\n" + "\n".join(wrong)
    at_once = [node for module, _ in LATE for node in top_level_imports(module) if "practice" in ast.unparse(node)]
    assert not at_once, f"imported at the top, not inside a function: {'; '.join(map(ast.unparse, at_once))}"


def top_level_imports(module: str) -> list[ast.stmt]:
    """Return the imports that run as soon as the module is imported."""
    body = ast.parse(MODULES[module].read_text(encoding="utf-8")).body
    return [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("folder", PURE)
def test_values_decisions_and_runs_open_nothing(folder: str) -> None:
    """`model`, `rules`, `insight` and `sync` talk to ports: no adapter, no file, no socket, no database, no process."""
    wrong = [
        str(one)
        for one in every_import()
        if one.folder == folder
        and (
            one.name not in PURE[folder]
            if one.ours is None
            else floor(one.ours) >= floor("system") and one.ours.partition(".")[0] != folder
        )
    ]
    assert not wrong, "\n" + "\n".join(wrong)
    opened = [
        f"{module}:{node.lineno} calls {ast.unparse(node.func)}"
        for module, path in MODULES.items()
        if module.partition(".")[0] == folder
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in OPENS
    ]
    assert not opened, "\n" + "\n".join(opened)


def test_the_sandbox_stands_alone() -> None:
    """The sandbox judges the product, so it shares no code with it: the standard library and itself only."""
    wrong = [
        str(one)
        for one in every_import()
        if matches(one.module, ("practice.sandbox.*",))
        and not (matches(one.ours, ("practice.sandbox.*",)) if one.ours else one.top in sys.stdlib_module_names or one.top == "__future__")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_import_goes_round_in_a_circle() -> None:
    """No module reaches itself through its imports."""
    below = {
        module: {one.ours for one in every_import() if one.module == module and one.ours in MODULES and one.ours != module}
        for module in MODULES
    }
    while free := {module for module, needed in below.items() if not needed}:
        below = {module: needed - free for module, needed in below.items() if module not in free}
    assert not below, f"in a ring, or above one: {', '.join(sorted(below))}"


@pytest.mark.parametrize("path", sorted((ROOT.parent / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_the_benchmarks_follow_the_house(path: Path) -> None:
    """Nothing but `make bench` runs them, so what they import is checked here."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            module = importlib.import_module(str(node.module))
            names = [alias.name for alias in node.names]
            assert [one for one in names if not hasattr(module, one) and not find_spec(f"{module.__name__}.{one}")] == []
