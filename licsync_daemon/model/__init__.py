"""Values, errors and ports that all other folders share; standard library only."""
