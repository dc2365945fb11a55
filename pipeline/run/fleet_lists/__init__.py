"""The stored lists of plants, devices and sets, as the steps of a run read them."""
