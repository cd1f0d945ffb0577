"""The `database` settings; the table itself is in `prefect.settings._server_table`."""

from prefect.settings._root import warn_on_database_password_value_without_usage
from prefect.settings._server_table import (
    ServerDatabaseSettings,
    SQLAlchemyConnectArgsSettings,
    SQLAlchemySettings,
    SQLAlchemyTLSSettings,
)

__all__ = [
    "SQLAlchemyConnectArgsSettings",
    "SQLAlchemySettings",
    "SQLAlchemyTLSSettings",
    "ServerDatabaseSettings",
    "warn_on_database_password_value_without_usage",
]
