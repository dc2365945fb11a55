"""Trouble on purpose: what SMA's services were seen to do, and what a careless network adds."""
