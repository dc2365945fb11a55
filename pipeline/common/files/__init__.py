"""Files and locks of this machine: replaced whole, owned by a process, readable by whom they should be."""
