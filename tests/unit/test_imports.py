"""Which module may import what: third parties have one home each, and our own imports point down only."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = "licsync_daemon"
ROOT = Path(__file__).parents[2] / PACKAGE

# A third-party package, and a few of the standard library, with the only modules that may import it.
HOMES = {
    "httpx": ("transport.client", "transport.failures"),
    "tenacity": ("retry",),
    "apscheduler": ("daemon",),
    "pydantic": ("settings.*",),
    "pydantic_core": ("settings.*",),
    "pydantic_settings": ("settings.*",),
    "cronsim": ("schedule", "settings.*"),
    "rich": ("cli.terminal",),
    "shtab": ("cli.configuration",),
    "structlog": ("*",),
    "sqlite3": ("store.*", "spool"),
    "fcntl": ("lock",),
    "smtplib": ("notify.mail",),
}

# From the bottom up: a module imports modules of lower layers, and of its own where the layer is not listed in APART.
LAYERS = (
    ("errors", "windows"),
    ("model", "runs", "messages", "configured", "__init__"),
    (
        "redaction",
        "check",
        "handover",
        "readback",
        "watch",
        "schedule",
        "guard",
        "digests",
        "spool",
        "document",
        "clock",
        "lock",
        "systemd",
        "process",
        "log",
    ),
    ("ports",),
    ("retry", "journal", "recorded", "kept", "listing", "child"),
    ("confirm", "supervise", "status", "decisions", "concerns", "alerts"),
    ("transport.*",),
    ("sources.*", "deliveries.*", "cloud.*", "notify.*", "store.*", "settings.*", "settings", "credentials"),
    ("adapters", "prepare"),
    ("preflight.*",),
    ("run",),
    ("fleet", "alerting"),
    ("outcome", "assembly", "daily", "daemon"),
    ("stories.*",),
    ("cli.*", "__main__"),
)
# Neighbors within a layer that know nothing of each other.
APART = ("sources", "deliveries", "cloud", "notify", "store", "settings", "credentials")
ONLY_BY = {
    "sources": ("sources.*", "adapters", "preflight.*"),
    "deliveries": ("deliveries.*", "adapters"),
    "cloud": ("cloud.*", "adapters", "preflight.*"),
    "notify": ("notify.*", "adapters"),
    "transport": ("transport.*", "sources.*", "deliveries.*", "cloud.*", "notify.*", "adapters", "preflight.*"),
    "store": ("store.*", "assembly", "cli.outbox", "cli.overview", "cli.serve"),
    "sandbox": ("sandbox.*", "cli.practice", "cli.practice_connect", "stories.*"),
}


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


IMPORTS = tuple(imports())


def matches(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(module, pattern) or module == pattern.removesuffix(".*") for pattern in patterns)


def layer(module: str) -> int | None:
    return next((number for number, names in enumerate(LAYERS) if matches(module, names)), None)


def test_the_graph_was_really_read() -> None:
    """The test sees the imports it is about, those inside functions included."""
    found = {(one.module, one.name) for one in IMPORTS}
    assert ("transport.client", "httpx") in found
    assert ("schedule", f"{PACKAGE}.readback") in found
    assert any(one.module == "cli.terminal" and one.top == "rich" for one in IMPORTS)
    assert len(MODULES) > 50


def test_third_parties_have_one_home_each() -> None:
    """Every package from outside is imported where it belongs and nowhere else; one nobody named is a decision to be made here."""
    wrong = [
        f"{one} (only {' and '.join(HOMES[one.top])} may)" if one.top in HOMES else f"{one}, which has no home in this table"
        for one in IMPORTS
        if one.ours is None
        and not (matches(one.module, HOMES[one.top]) if one.top in HOMES else one.top in sys.stdlib_module_names or one.top == "__future__")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_module_has_its_layer() -> None:
    """A new module takes its place in the table first."""
    homeless = [module for module in MODULES if not matches(module, ("sandbox.*",)) and layer(module) is None]
    assert not homeless, f"these modules have no layer: {', '.join(homeless)}"


def test_imports_point_down() -> None:
    """A module imports only what lies below it, or beside it in its own layer."""
    wrong = []
    for one in IMPORTS:
        if one.ours is None or matches(one.module, ("sandbox.*",)) or matches(one.ours, ("sandbox.*",)):
            continue
        mine, theirs = layer(one.module), layer(one.ours)
        if mine is None or theirs is None or theirs > mine:
            wrong.append(f"{one}, which lies above it")
    assert not wrong, "\n" + "\n".join(wrong)


def test_neighbors_do_not_know_each_other() -> None:
    """Sources, deliveries, cloud, store, settings and credentials do not import one another."""
    wrong = []
    for one in IMPORTS:
        mine, theirs = one.module.partition(".")[0], (one.ours or "").partition(".")[0]
        if mine in APART and theirs in APART and mine != theirs:
            wrong.append(str(one))
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("part", ONLY_BY)
def test_some_parts_are_known_to_few(part: str) -> None:
    """What is behind a port is imported only by who puts the parts together."""
    wrong = [str(one) for one in IMPORTS if one.ours and matches(one.ours, (f"{part}.*",)) and not matches(one.module, ONLY_BY[part])]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_sandbox_stands_alone() -> None:
    """The sandbox judges the product, so it shares no code with it: the standard library and itself only."""
    wrong = [
        str(one)
        for one in IMPORTS
        if matches(one.module, ("sandbox.*",))
        and not (matches(one.ours, ("sandbox.*",)) if one.ours else one.top in sys.stdlib_module_names or one.top == "__future__")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_import_goes_round_in_a_circle() -> None:
    """Modules of one layer do not import each other in a ring."""
    below = {
        module: {one.ours for one in IMPORTS if one.module == module and one.ours in MODULES and one.ours != module} for module in MODULES
    }
    while free := {module for module, needed in below.items() if not needed}:
        below = {module: needed - free for module, needed in below.items() if module not in free}
    rings = {module: needed for module, needed in below.items() if not matches(module, ("sandbox.*",))}
    assert not rings, f"in a ring, or above one: {', '.join(sorted(rings))}"
