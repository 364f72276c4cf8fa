"""Where usage is sent: an HTTP endpoint, or an outbox for a person to upload from."""
