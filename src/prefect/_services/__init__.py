"""What goes on in the background: one service in each file, each a function that does what is due now.

A service has no state of its own: what is to be done is in the database, and doing it is one statement or one
transaction that looks again under a lock. So any number of processes may run the same service on one database, and one
that dies leaves nothing behind.
"""
