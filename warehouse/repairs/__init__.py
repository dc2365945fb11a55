"""Makes a damaged lake whole: logs, records and copies, and the parts whose rows are lost."""
