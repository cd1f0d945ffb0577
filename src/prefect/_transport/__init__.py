"""How a request reaches the API: in this process (`embedded`), or over HTTP (`http`).

Both take a `Request` and return a `Reply` (see `port`), so that the client above says each thing once.
"""
