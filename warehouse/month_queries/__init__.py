"""Queries of the published file about a month: rows, completeness, PU, and the days that are left out."""
