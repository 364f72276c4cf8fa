"""Where the license usage of an instance comes from: one module per kind of source.

`model/instance.py` has the value that describes each kind, `settings/parts.py` its options, and `daemon/connections.py` opens it.
"""
