"""A misspelled instance, wherever one is named, is answered with the one that was probably meant."""

import pytest

from tests.acceptance.support import Site

EVERYWHERE = (
    "--run-now emae",
    "--run-now --dry-run emae",
    "payload emae",
    "pause emae --until 3d --reason x",
    "resume emae",
    "history emae",
)


def test_the_instance_that_was_meant_is_named(site: Site, subtests: pytest.Subtests) -> None:
    """Exit 2, the suggestion, and what there is; nothing is guessed and nothing is done."""
    for words in EVERYWHERE:
        with subtests.test(words):
            done = site.run(*words.split())
            assert (done.code, done.out) == (2, "")
            assert "emae: no such instance is configured" in done.err
            assert "did you mean emea? configured: emea, amer" in done.err
    assert "did you mean" not in site.run("payload", "xyz").err
