"""One run of one instance, step by step, and runs of the whole fleet; talks to ports only."""
