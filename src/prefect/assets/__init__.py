"""Assets: things outside of the program that tasks make and read, such as tables, files and models.

```python
raw = Asset(key="s3://lake/raw/orders.csv")

@materialize("postgres://shop/orders", asset_deps=[raw])
def load_orders(): ...
```
"""

from __future__ import annotations

from prefect.assets.core import Asset, AssetProperties, add_asset_metadata
from prefect.assets.materialize import materialize

__all__ = ["Asset", "AssetProperties", "add_asset_metadata", "materialize"]
