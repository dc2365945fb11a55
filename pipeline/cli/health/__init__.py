"""`sunledger doctor`, `verify` and `repair`: what is wrong, and what was done about it."""
