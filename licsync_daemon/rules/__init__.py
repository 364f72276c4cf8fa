"""Every decision, as a pure function: the time and the record go in, the decision comes out."""
