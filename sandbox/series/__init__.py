"""Measurement rows: from a plant's model or recording to SMA's JSON."""
