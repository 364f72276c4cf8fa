"""What outlives the process: the state in SQLite or PostgreSQL, held exports, locks, and the temporary files of a run."""
