"""`sunledger demo`: a sandbox, a month of it, and what a user does with the result."""
