"""Where the license usage of an instance comes from: one module per kind of source."""
