"""The plants that the sandbox shows: a simulated fleet of any size and replayed recordings."""
