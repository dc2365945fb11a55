"""`sunledger login`, `logout` and `consent`: who may read which plants."""
