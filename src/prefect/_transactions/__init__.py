"""What `prefect.transactions` promises: the life of a transaction, and what it may be asked to do."""
