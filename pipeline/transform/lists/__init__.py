"""Lists of plants, devices and sets: what they say, what of them is broken, and which plant is which."""
