"""Task queue to workflows and activities: here adapters are wired into activities."""
