"""Every decision as a pure function of recorded values and the time."""
