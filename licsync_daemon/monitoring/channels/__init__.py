"""Channels to people: the `Channel` port."""
