"""PostgreSQL: migrations, the ledger, and everything else that is kept in rows."""
