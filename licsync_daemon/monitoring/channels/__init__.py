"""Channels to people: the `Notifier` port."""
