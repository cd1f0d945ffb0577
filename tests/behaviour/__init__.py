"""Black-box scenarios of the embedded engine, written against the public API only.

Every file here also runs on the peer implementation, which makes the peer the oracle: where the two differ on purpose
the scenario carries `ours_better` and the difference is explained in DIFFERENCES.md.
"""
