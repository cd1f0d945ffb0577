"""Several commands of the published client in one process: what each said, as JSON after `OUT`."""

import contextlib
import io
import json
import runpy
import sys

said = []
for command in json.loads(sys.argv[1]):
    sys.argv = ["prefect", *command]
    code, out = 0, io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            runpy.run_module("prefect", run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            code = ended.code or 0
    said.append([code, out.getvalue()])
print("OUT" + json.dumps(said))
