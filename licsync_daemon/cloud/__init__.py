"""What the cloud account says: REST and GraphQL clients, and tolerant decoders."""
