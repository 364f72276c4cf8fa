"""The entry point: `licsync-daemon` and `python -m licsync_daemon`."""

import sys


def main() -> int:
    """Run the command line and leave with its exit code, whatever threads are stuck."""
    try:
        from licsync_daemon.cli.main import main as command  # noqa: PLC0415 - a Ctrl-C while modules load is no traceback either
        from licsync_daemon.process import leave  # noqa: PLC0415

        return leave(command(sys.argv[1:]))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
