"""Loans as workflows."""
