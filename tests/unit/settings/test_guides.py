"""The configurations in the guides are ones that the program takes."""

import re
from pathlib import Path

import pytest

from licsync_daemon.model.errors import ConfigError
from licsync_daemon.settings import load_config

DOCS = Path(__file__).parents[3] / "docs"
BLOCKS = [
    (page.name, block)
    for page in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    if page.name == "deliveries.md" or "[cloud]" in block  # elsewhere a block may be a part of one
]
CLOUD = '[cloud]\nenterprise = "octo-enterprise"\n'
FLEET = '[instances.one]\nhostname = "ghes-one.example.com"\n'
DEFAULTS = (
    '[defaults]\nsource = { kind = "report", username = "reader" }\ndelivery = { kind = "http", url = "https://relay.example.com" }\n'
)


def test_every_block_can_be_used(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Nothing is wrong with it but that its keys, folders and groups are not on this machine."""
    for page, block in BLOCKS:
        with subtests.test(page=page, block=block):
            text = block + ("" if "[cloud]" in block else CLOUD) + ("" if "[instances." in block else FLEET)
            text += "" if "[defaults]" in block or "delivery =" in block else DEFAULTS
            path = tmp_path / "config.toml"
            path.write_text(text)
            try:
                load_config(path, {})
            except ConfigError as error:
                wrong = [
                    str(one)
                    for one in error.problems
                    if not re.search(r"cannot be read|no such|does not exist|no group|not found", str(one))
                ]
                assert wrong == []


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 6
