"""Hypothesis without a deadline: machines that run the checks are shared, and a slow example is no defect."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("loans", deadline=None)
settings.load_profile("loans")
