"""The stories that `demo --scenario` plays: what an operator sees when something happens to a fleet in service."""
