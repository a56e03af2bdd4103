"""Tests: payments in PostgreSQL."""
