"""The methods of `SyncPrefectClient`: made from `prefect.client._methods`, which see."""
