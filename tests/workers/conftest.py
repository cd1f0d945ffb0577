"""Work pools and workers; deployments are made as for runners."""

from runner.conftest import (
    Deployments,
    InThread,
    api,
    code,
    deployments,
    one_server,
    place,
    places,
    pytest_generate_tests,
    wait_for,
)

__all__ = [
    "Deployments",
    "InThread",
    "api",
    "code",
    "deployments",
    "one_server",
    "place",
    "places",
    "pytest_generate_tests",
    "wait_for",
]
