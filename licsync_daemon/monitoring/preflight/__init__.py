"""What `check` tests before anything is synced, and the daemon tests every day: places, rows, and what they mean as alerts."""
