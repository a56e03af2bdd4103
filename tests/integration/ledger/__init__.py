"""The ledger in a real PostgreSQL."""
