"""Measurements of the product beside other ways. The sandbox that they ask charges nobody."""

import os

os.environ.setdefault("SUNLEDGER_MAX_EUR_PER_MONTH", "1000000")
