"""SMA's services by HTTP, one module a service, and the sandbox's own pages under `/_…`."""
