"""From a flow to a deployment: what `serve`, `deploy`, `prefect.yaml` and their steps are made of."""
