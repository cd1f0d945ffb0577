"""Where runs are kept: tables, the ready schemas, migrations, queries and the writer.

Readers use SQLAlchemy Core (`tables`, `queries`); a running flow writes through `sqlite` and `writer`, which
import neither SQLAlchemy nor anything else that is slow to load.
"""
