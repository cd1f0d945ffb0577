"""Resume a run that asks for a number, and send it a text: `answers.py ID NUMBER TEXT`."""

import sys
from uuid import UUID

from prefect.flow_runs import resume_flow_run
from prefect.input import send_input

id, number, text = UUID(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
resume_flow_run(id, run_input={"value": number})
send_input(text, flow_run_id=id)
