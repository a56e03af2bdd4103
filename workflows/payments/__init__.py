"""Payments and refunds as workflows."""
