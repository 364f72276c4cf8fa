"""`completion`: scripts made from the parser itself, and the instance names and run IDs that they offer."""

import argparse
import os

from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.parser import WORDS, build_parser
from licsync_daemon.model.errors import LicsyncError

RUNS = 50  # the newest ones
BASH = """\
_licsync_words() {
  local i config=()
  for ((i = 1; i < COMP_CWORD - 1; i++)); do
    [[ ${COMP_WORDS[i]} == --config ]] && config=(--config "${COMP_WORDS[i + 1]}")
  done
  compgen -W "$("${COMP_WORDS[0]}" "${config[@]}" completion "$1" 2>/dev/null)" -- "$2"
}
_licsync_instances() { _licsync_words instances "$1"; }
_licsync_runs() { _licsync_words runs "$1"; }
"""
ZSH = """\
_licsync_words() {
  local -a typed config
  typed=(${(z)BUFFER})
  local at=${typed[(i)--config]}
  (( at < ${#typed} )) && config=(--config ${(Q)typed[at + 1]})
  compadd -- ${(f)"$(licsync-daemon $config completion $1 2>/dev/null)"}
}
_licsync_instances() { _licsync_words instances }
_licsync_runs() { _licsync_words runs }
"""


def completion(arguments: argparse.Namespace) -> int:
    """Print a completion script, or one word a line: nothing where the configuration or the state cannot be read."""
    if arguments.shell not in WORDS:
        import shtab

        print(shtab.complete(build_parser(), shell=arguments.shell, preamble={"bash": BASH, "zsh": ZSH}[arguments.shell]), end="")
        return Exit.OK
    try:
        words = _words(arguments)
    except (LicsyncError, OSError):
        return Exit.OK
    for word in words:
        print(word)
    return Exit.OK


def _words(arguments: argparse.Namespace) -> list[str]:
    from licsync_daemon.settings import load_config
    from licsync_daemon.state.files import reading

    config = load_config(arguments.config, os.environ).config
    if arguments.shell == "instances":
        return [one.name for one in config.instances]
    with reading(config.state_dir) as store:
        return [run.run_id for run in store.runs(limit=RUNS)] if store is not None else []
