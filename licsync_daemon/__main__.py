"""The entry point: `licsync-daemon` and `python -m licsync_daemon`."""

import os
import signal
import sys


def main() -> int:
    """Run the command line and leave with its exit code, whatever threads are stuck."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us wants it ignored
        # While modules load there is nothing to clean up, and the import system may swallow a KeyboardInterrupt.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from licsync_daemon.system.streams import guard  # noqa: PLC0415 - a Ctrl-C while modules load is no traceback

    guard()
    try:
        _import_structlog_without_rich()
        from licsync_daemon.cli.main import main as command  # noqa: PLC0415
        from licsync_daemon.system.process import leave  # noqa: PLC0415

        return leave(command(sys.argv[1:]))
    except KeyboardInterrupt:
        return 130


def _import_structlog_without_rich() -> None:
    """Load structlog as if rich were not installed.

    structlog loads rich to draw tracebacks when it finds it. Ours are plain (a drawn one shows local variables), and an idle daemon is
    6 MB smaller without it; tables and progress import rich when they are shown.
    """
    sys.modules["rich"] = None  # type: ignore[assignment] # makes `import rich` fail for as long as it stands there
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        del sys.modules["rich"]


if __name__ == "__main__":
    sys.exit(main())
