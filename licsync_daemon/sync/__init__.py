"""One run of one instance, step by step, and runs of the whole fleet; uses ports only."""
