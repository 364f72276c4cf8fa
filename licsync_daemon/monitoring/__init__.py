"""What people see: status, alerts and their channels, and the checks before anything is sent."""
