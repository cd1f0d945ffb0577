"""How the arguments of a call become the parameters of a run.

`binding` matches arguments to a signature, `validation` checks and coerces them, `schema` describes them as JSON schema,
`serialization` writes them down for the database.
"""
