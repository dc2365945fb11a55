"""Dagster's home: its configuration on one machine or several, what can be wrong with it, and its repair."""
