"""The steps from one schema to the next (Alembic). `prefect._store.migrate` runs them."""
