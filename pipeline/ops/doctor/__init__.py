"""Is everything there that a run needs? Each check is a pure evaluation of facts; `examination` gathers the facts.

The evaluations make no API calls, read no clock and no disk: facts in, findings out.
"""
