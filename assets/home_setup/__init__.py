"""Dagster's home: its configuration on one machine or several, and what can be wrong with it."""
