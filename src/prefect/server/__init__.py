"""The server: the operations of the API over HTTP, for many clients at once."""
