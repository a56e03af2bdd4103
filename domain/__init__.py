"""The business rules: money, ledger, payments and loans. Pure and deterministic: no I/O, no clock, no randomness."""
