"""Where runs are written down: in a local database (`local`), or by a server (`served`). `port` says what both do."""
