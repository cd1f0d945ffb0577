"""Where the code of flows is kept, and how it is fetched."""
