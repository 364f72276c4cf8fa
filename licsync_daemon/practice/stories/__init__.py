"""Stories that `demo --scenario` plays to their end: what an operator sees when something happens to a fleet in service."""

NAMES = ("shrink", "rebuilt", "clone", "outage", "dst", "ratelimit", "maintenance")
