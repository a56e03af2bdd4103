"""Tests: e2e, loans."""
