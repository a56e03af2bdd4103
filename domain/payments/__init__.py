"""What a payment is: its states, its operations at the gateway, its limits, and how each step is booked."""
