"""Power of a simulated plant as a pure function of (seed, plant, local day), on cells of five minutes.

Arrays have the shape (days, cells); every function works along the last axis, so that a year costs few calls.
"""
