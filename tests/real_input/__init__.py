"""Tests: real_input."""
