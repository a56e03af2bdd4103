"""Table classes: what the migrations have made, as Python sees it. A test compares the two."""
