"""A practice fleet on loopback: GHES instances and their cloud account, over real HTTP.

It shares no code with the rest of the package, because it judges that code.
"""

from licsync_daemon.practice.sandbox.box import Sandbox
from licsync_daemon.practice.sandbox.cloud import ABSENT, Processing
from licsync_daemon.practice.sandbox.faults import Fault
from licsync_daemon.practice.sandbox.fleet import Fleet, FleetError, load_fleet
from licsync_daemon.practice.sandbox.generator import generate_fleet
from licsync_daemon.practice.sandbox.limits import RateLimit

__all__ = ["ABSENT", "Fault", "Fleet", "FleetError", "Processing", "RateLimit", "Sandbox", "generate_fleet", "load_fleet"]
