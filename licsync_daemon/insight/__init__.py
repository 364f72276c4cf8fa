"""Who takes a seat, who takes two, and which one change would fix it; pure over streams of people and accounts."""
