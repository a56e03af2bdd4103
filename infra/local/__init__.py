"""The embedded stack: PostgreSQL, Temporal, the sandbox bank, workers and the API as processes of one machine."""
