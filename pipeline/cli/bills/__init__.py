"""What a command will cost and what SMA charges: plans, consent, the bill and the check of an invoice."""
