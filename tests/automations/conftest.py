"""The two ways in which a program reaches its API."""

from doors.conftest import api as api
from doors.conftest import embedded as embedded
from doors.conftest import served as served
from doors.conftest import server_url as server_url
