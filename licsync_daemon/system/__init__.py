"""This machine: the clock, processes, signals, logs, file locks, and systemd."""
