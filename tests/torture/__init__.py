"""The program under accidents: kills, floods of faults, flipped bits and races, with the real `sunledger` script.

`python -m tests.torture --help` says what can be asked for; `make torture` does a short form of all of it.
"""
