"""Notification channels, which implement the `Channel` port."""
