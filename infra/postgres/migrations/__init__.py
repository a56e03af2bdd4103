"""The schema's history, run by Alembic. Each version has its SQL beside it, in the order of the files' names."""
