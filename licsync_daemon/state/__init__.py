"""What outlives the process: the SQLite state file, held exports, locks, and the temporary files of a run."""
