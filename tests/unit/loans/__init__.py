"""Loan mathematics against published figures, independent oracles and its own invariants."""
