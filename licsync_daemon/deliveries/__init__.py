"""How usage leaves: an HTTP endpoint, or an outbox that a person uploads from."""
