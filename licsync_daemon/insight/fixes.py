"""Why GitHub counts one human being twice, and the one change that merges the seats."""

