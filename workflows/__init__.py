"""The business processes: each reads as the process it is, and survives whatever dies underneath it."""
