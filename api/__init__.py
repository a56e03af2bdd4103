"""The HTTP API: it checks what comes in, starts or updates a workflow, and reads. It decides nothing about money."""
