"""The tests that `check` runs, and the daemon every day: places, rows, and the alerts that follow from them."""
