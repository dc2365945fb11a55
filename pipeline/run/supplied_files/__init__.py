"""Files that users supply: plants of theirs, facts about them, irradiation, limits and thresholds."""
