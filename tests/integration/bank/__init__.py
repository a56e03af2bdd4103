"""The sandbox bank as a process, and the adapters that speak to it."""
