"""`sunledger grid` and `live`: the services of SMA that are off by default."""
