"""Loans: schedules, rates, payoff, restructuring, statuses, allocation, delinquency and credit decisions.

Invariant: pure and deterministic. Money is an integer number of minor units, rates and shares of a year are `Decimal`,
and every division names its rounding. `quote` is the door for callers with decimal strings; the rest is for servicing.
"""
