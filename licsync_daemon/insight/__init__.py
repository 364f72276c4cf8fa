"""Who takes a seat, who takes two, and which one change would fix it: pure functions of people and accounts; no state, no network."""
