"""The embedded stack's own parts, on real processes."""
