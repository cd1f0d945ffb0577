"""Task runs in the background: `.delay()` here, a task worker there, the local database between them.

`deferral` records a run and queues it; `queue` is the queue, a table; `worker` claims runs and carries them out,
each through a `claims.ClaimRecorder` that writes the run's states and the queue in one transaction; `waiting` tells
those who hold a future; `bells` wakes whoever waits in another process. The engine knows nothing of any of it.
"""
