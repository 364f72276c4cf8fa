"""The table of deliberate faults fits the code: each fault can be applied, and the tests it names exist."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]


@cache
def original(file: str) -> tuple[str, str]:
    """Return a file's text and its syntax tree."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return text, ast.dump(ast.parse(text))


def test_every_fault_can_be_applied(subtests: pytest.Subtests) -> None:
    """The text it replaces occurs exactly once, and the file with the fault is valid and different Python."""
    for mutant in MUTANTS:
        with subtests.test(mutant.name):
            text, tree = original(mutant.file)
            assert text.count(mutant.before) == 1
            assert ast.dump(ast.parse(text.replace(mutant.before, mutant.after))) != tree


def test_every_fault_names_tests_that_exist(subtests: pytest.Subtests) -> None:
    """Each target is a file, or a function in a file."""
    for mutant in MUTANTS:
        with subtests.test(mutant.name):
            assert mutant.tests
            for target in mutant.tests:
                file, _, name = target.partition("::")
                text = (ROOT / file).read_text(encoding="utf-8")
                assert not name or f"def {name.partition('[')[0]}(" in text


def test_no_fault_appears_twice() -> None:
    """Names and changes are unique."""
    assert len({one.name for one in MUTANTS}) == len(MUTANTS)
    assert len({(one.file, one.before, one.after) for one in MUTANTS}) == len(MUTANTS)
