"""`status --alive`, which Docker runs every minute: it loads little."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = ("httpx", "tenacity", "rich", "apscheduler", "sqlite3")
LIGHT = {"licsync_daemon.state", "licsync_daemon.state.accepted"}  # where the configuration of the daemon is, if the file is refused
OURS = ("http", "sources", "deliveries", "cloud", "state", "sync", "daemon", "practice", "monitoring.status", "monitoring.preflight")
SCRIPT = """
import json, sys
from licsync_daemon.__main__ import _import_structlog_without_rich
_import_structlog_without_rich()
from licsync_daemon.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""


def test_it_loads_neither_clients_nor_sources_nor_the_daemon(tmp_path: Path) -> None:
    """Only the configuration and the lock file are read."""
    config = tmp_path / "config.toml"
    delivery = 'delivery = { kind = "connect" }'
    config.write_text(
        f'state_dir = "{tmp_path}"\n[cloud]\nenterprise = "octo"\n[instances.emea]\nhostname = "ghes.example.com"\n{delivery}\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--config", config, "status", "--alive"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, answer = done.stdout.splitlines()
    code, modules = json.loads(answer)
    assert (code, said) == (1, "not running: no daemon has a recent heartbeat in this state directory")
    unwanted = (*HEAVY, *(f"licsync_daemon.{name}" for name in OURS))
    assert [one for one in modules if one not in LIGHT and any(one == name or one.startswith(f"{name}.") for name in unwanted)] == []
    assert "licsync_daemon.monitoring.heartbeat" in modules
