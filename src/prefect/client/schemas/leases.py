"""Who holds which flow run: what claims and leases are asked with, and answered by. Our own; Prefect 3 has no such thing."""

from __future__ import annotations

from prefect._schemas.leases import LEASE_SECONDS as LEASE_SECONDS
from prefect._schemas.leases import ClaimedRun as ClaimedRun
from prefect._schemas.leases import Lease as Lease
from prefect._schemas.leases import LeaseHolder as LeaseHolder
from prefect._schemas.leases import RenewedLeases as RenewedLeases
