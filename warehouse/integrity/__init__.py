"""Is what is stored what was written? Digests, the checks that compare with them, and the damage that they find."""
