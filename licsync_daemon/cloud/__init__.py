"""Reads the cloud account: REST and GraphQL clients, and tolerant decoders."""
