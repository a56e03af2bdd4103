"""The double-entry ledger's vocabulary: accounts, transfers, holds, journal entries, results.

The rules themselves are enforced by the database (`infra/postgres/migrations`); `domain.ledger.book` states the same rules in
Python, as the model the database is tested against.
"""
