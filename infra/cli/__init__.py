"""The installed command, `clearhold`: one module per noun, put together in `main`."""
