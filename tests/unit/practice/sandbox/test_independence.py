"""The sandbox checks the product, so it may share no code with it."""

import ast
import sys
from pathlib import Path

import licsync_daemon.practice.sandbox


def test_it_imports_the_standard_library_and_itself_only():
    imported = set()
    for path in Path(licsync_daemon.practice.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module)

    foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("licsync_daemon.practice.sandbox")} == set()
