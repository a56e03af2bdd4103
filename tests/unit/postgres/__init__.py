"""What of the PostgreSQL adapters needs no database."""
