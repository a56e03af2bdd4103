"""The fixtures of payments in PostgreSQL."""

from tests.integration.payments.conftest import accounts, book, pool

__all__ = ["accounts", "book", "pool"]
