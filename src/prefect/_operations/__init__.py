"""One function per operation of the API, declared once and called in-process or over HTTP alike.

An operation is a plain function over a database transaction. Importing a module here makes its operations known to
`prefect._operations.registry`.
"""
