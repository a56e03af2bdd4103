"""Adapters of the gateway, rail and screening ports."""
