"""The ledger's rules and the oracle, without a database."""
