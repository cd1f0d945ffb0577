"""Workers: programs that carry out the runs of a work pool on one kind of infrastructure.

`prefect.workers.base` is what workers are made of, `prefect.workers.process` the one that starts processes.
"""
