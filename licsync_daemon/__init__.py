"""Keep the license usage of many GitHub Enterprise Server instances synced to one cloud account, and prove it."""

__version__ = "0.1.0"
