"""The methods of `PrefectClient`, one class per noun.

They are written here once, as `async def`. The synchronous twins in `prefect.client._sync_methods` are made from them
by `python -m prefect.client._methods --write`; a test checks that they are current.
"""
