"""The demonstration: real purchases played over HTTP against the whole stack, and the books proved afterwards."""
