"""What Alembic runs to get at the database: a connection handed over by `prefect._store.migrate`, or none (`--sql`)."""

from __future__ import annotations

from alembic import context

from prefect._store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    context.configure(dialect_name=context.config.attributes["dialect"], target_metadata=metadata, literal_binds=True)
else:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # SQLite alters a table by making another one
        render_as_batch=connection.dialect.name == "sqlite",
        # our connections begin their transactions themselves, so DDL is in them on SQLite too
        transactional_ddl=True,
    )

with context.begin_transaction():
    context.run_migrations()
