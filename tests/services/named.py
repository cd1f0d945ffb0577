"""Services by their names."""

from __future__ import annotations

from prefect._services.framework import Service, all_services


def named(*names: str) -> list[Service]:
    """The services of these names, in this order."""
    found = {service.name: service for service in all_services()}
    return [found[name] for name in names]
