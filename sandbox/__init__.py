"""A look-alike of SMA's developer services on loopback, for building, teaching and testing. It is not SMA."""
