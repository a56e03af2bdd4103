"""`clearhold bench`: what a payment costs, measured beside what its parts cost alone."""
