import pytest

pytest.register_assert_rewrite("client.calls")  # its assertions are those of tests
