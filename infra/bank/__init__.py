"""The sandbox bank: card network, bank rails and screening provider in one process with its own memory."""
