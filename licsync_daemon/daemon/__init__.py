"""The long-running process: what it starts, when, and in what order it stops."""
