"""What the pages on deployments and workers show that needs a server, a repository or a worker: all of it, verbatim.

`test_pages.py` runs what runs by itself. Here is the rest: shell lines without a mark, and Python blocks that are
skipped there because they go on for ever. A test takes each of them from its page by its beginning; what a page has
and nobody took is an error, and so is what is taken and not there any more.

The address of the repository that pages name is turned into that of one on this machine by git itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pasting import User, until
from test_pages import ROOT, blocks

from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse

REPORT = """
from prefect import flow


@flow(log_prints=True)
def report(day: str = "today", limit: int = 100) -> int:
    print(f"{limit} rows of {day}")
    return limit
"""

ETL = """
from prefect import flow


@flow(log_prints=True)
def etl(day: str = "today"):
    print(f"loading {day}")
    return day
"""

FILES = {
    "flows/report.py": REPORT,
    "flows/etl.py": ETL,
    "sql/one.sql": "select 1",
    "Makefile": "report:\n\t@echo made it\n",
}


class Page:
    """A page, of which one takes what one does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left: list[str] = []
        for block in blocks(ROOT / "docs" / name):
            if block.language in ("shell", "bash") and not block.mark:
                self.left += commands(block.source)
            elif block.language == "python" and block.mark.startswith("skip:"):
                self.left.append(block.source)

    def take(self, beginning: str) -> str:
        """The command or program that begins so, or, of a program, has such a line."""
        found = [each for each in self.left if each.startswith(beginning) or f"\n{beginning}" in each]
        assert len(found) == 1, f"{self.name} has {len(found)} of {beginning!r}"
        self.left.remove(found[0])
        return found[0]


def commands(source: str) -> list[str]:
    """The commands of a block of shell lines; one that reads what follows it goes to the end of that."""
    found: list[str] = []
    end = None
    for line in source.splitlines():
        if end is not None:
            found[-1] += f"\n{line}"
            end = None if line == end else end
        elif line.strip():
            found.append(line)
            here = re.search(r"<<'(\w+)'$", line)
            end = here[1] if here else None
    return found


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[User]:
    user = User(tmp_path, FILES)
    named = "https://github.com/org/repo.git"
    user.env |= {
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{user.origin.as_uri()}.insteadOf", "GIT_CONFIG_VALUE_0": named,
    }  # fmt: skip
    yield user
    user.end()


@pytest.fixture
def served(reader: User) -> Iterator[User]:
    reader.server.start()
    reader.use_the_server()
    yield reader
    reader.end()
    reader.server.stop()


def deployments(user: User) -> dict[str, DeploymentResponse]:
    """What is deployed, by name."""
    with user.api() as api:
        flows = {flow.id: flow.name for flow in api.read_flows()}
        return {f"{flows[each.flow_id]}/{each.name}": each for each in api.read_deployments()}


def completed(user: User, name: str) -> list[FlowRun]:
    """The runs of a deployment that have completed."""
    id = deployments(user)[name].id
    with user.api() as api:
        return [run for run in api.read_flow_runs() if run.deployment_id == id and run.state_name == "Completed"]


def logged(user: User, run: str, text: str) -> None:
    """Wait for a line in the log of a run."""

    def look() -> bool:
        with user.api() as api:
            return text in [line.message for line in api.read_logs() if str(line.flow_run_id) == run]

    until(look, f"The line {text!r}")


def test_nothing_of_these_pages_is_left_out() -> None:
    """The other pages have nothing that needs more than a home."""
    here = {"deployments.md", "runner.md", "workers.md", "prefect-yaml.md"}
    with_more = {page.name for page in (ROOT / "docs").glob("*.md") if Page(page.name).left}
    assert here <= with_more
    assert Page("schedules.md").left == []


def test_deployments(served: User) -> None:
    page = Page("deployments.md")
    served.write("report.py", page.take("@flow(log_prints=True)\ndef report"))
    serving = served.begin("python report.py")
    until(lambda: "report/nightly" in deployments(served), "The deployment that is served")
    assert [str(each.schedule) for each in deployments(served)["report/nightly"].schedules] == [
        "cron='0 2 * * *' timezone=None day_or=True"
    ]
    served.ok(page.take("prefect deployment run 'report/nightly' --param day=monday"))
    [run] = until(lambda: completed(served, "report/nightly"), "The run")
    assert run.parameters == {"day": "monday", "limit": 500}
    logged(served, str(run.id), "500 rows of monday")
    served.stop(serving)
    assert deployments(served)["report/nightly"].paused

    served.write("both.py", "from report import report\n" + page.take("from prefect import serve"))
    serving = served.begin("python both.py")
    until(lambda: {"report/hourly", "report/mondays"} <= set(deployments(served)), "The two deployments")
    assert served.run_of("report/mondays").state_name == "Completed"
    served.stop(serving)

    served.ok("prefect work-pool create main && prefect work-pool create containers --type docker")
    served.begin("prefect worker start --pool main")
    served.python(page.take("flow.from_source("))
    assert served.run_of("report/nightly", limit=7).state_name == "Completed"

    image = "from report import report\n" + page.take("from prefect.docker import DockerImage")
    served.write("image.py", image)
    built = served.run("python image.py", DOCKER_HOST=f"unix://{served.home}/no-engine.sock")
    assert built.returncode == 1 and re.search(r"engine|prefect\[docker\]", built.stderr), built.stderr
    assert page.left == []


def test_a_project_file(served: User) -> None:
    page = Page("prefect-yaml.md")
    served.ok("git remote add origin https://github.com/org/repo.git")
    assert "prefect.yaml" in served.ok(page.take("prefect init   "))
    assert "git_clone" in (served.folder / "prefect.yaml").read_text()
    (served.folder / "prefect.yaml").unlink()
    served.ok(page.take("prefect init --recipe docker"))
    assert "image_name: registry.example.com/app" in (served.folder / "prefect.yaml").read_text()

    [example] = [block.source for block in blocks(ROOT / "docs" / page.name) if block.language == "yaml"]
    served.write("prefect.yaml", example)
    served.ok("prefect work-pool create main && prefect variable set region north")
    served.python("from prefect.blocks.system import Secret\nSecret(value='t0ken').save('git-token')")
    served.env["LEVEL"] = "3"
    served.ok(page.take("prefect deploy   "))
    made = served.json("prefect deployment inspect report/nightly")
    assert (
        made["description"] == "Runs in north" and made["parameters"] == {"limit": 500} and made["tags"] == ["reports"]
    )
    assert made["version"] == served.ok("git rev-parse --short HEAD").strip()
    assert made["job_variables"] == {"env": {"LEVEL": "3"}}
    assert made["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    schedules = {each["slug"]: each for each in made["schedules"]}
    assert {slug: each["active"] for slug, each in schedules.items()} == {"night": True, None: False}
    assert "t0ken" not in str(made)
    served.ok(page.take("prefect deploy --all"))
    served.ok(page.take("prefect deploy -n nightly -n 'report/*'"))
    [again] = deployments(served).values()
    assert schedules["night"]["id"] in [str(each.id) for each in again.schedules]
    served.ok(page.take("prefect deploy flows/report.py:report -n new"))
    new = served.json("prefect deployment inspect report/new")
    assert new["parameters"] == {"limit": 5} and [each["schedule"]["cron"] for each in new["schedules"]] == [
        "0 2 * * *"
    ]
    served.ok(page.take("prefect deploy -n nightly --tag urgent"))
    assert "urgent" in deployments(served)["report/nightly"].tags

    served.begin("prefect worker start --pool main")
    run = served.run_of("report/nightly")
    assert run.state_name == "Completed", run.state
    logged(served, str(run.id), "500 rows of today")
    assert page.left == []


def test_the_runner(reader: User) -> None:
    """Without a server, as the page says."""
    page = Page("runner.md")
    reader.write("etl.py", page.take('@flow(log_prints=True)\ndef etl(day: str = "today"):'))
    serving = reader.begin(page.take("python etl.py"))
    until(lambda: "etl/nightly" in deployments(reader), "The deployment that is served")
    reader.ok(page.take("prefect deployment run etl/nightly"))
    [run] = until(lambda: completed(reader, "etl/nightly"), "The run")
    logged(reader, str(run.id), "loading today")
    reader.stop(serving)

    serving = reader.begin(page.take("prefect flow serve etl.py:etl"))
    until(lambda: not deployments(reader)["etl/nightly"].paused, "The deployment that is served again")
    assert reader.run_of("etl/nightly", day="monday").state_name == "Completed"
    reader.stop(serving)

    reader.write("report.py", REPORT)
    both = "from etl import etl\nfrom report import report\n"
    reader.write("both.py", both + page.take("from prefect import serve"))
    serving = reader.begin("python both.py")
    until(lambda: "report/weekly" in deployments(reader), "The second deployment")
    assert reader.run_of("report/weekly").state_name == "Completed"
    reader.stop(serving)

    reader.write(
        "own.py", f"import asyncio\n{both}{page.take('from prefect.runner import Runner')}\nasyncio.run(main())\n"
    )
    serving = reader.begin("python own.py")
    until(lambda: not deployments(reader)["etl/nightly"].paused, "The deployment of one's own runner")
    assert reader.run_of("etl/nightly").state_name == "Completed"
    reader.stop(serving)

    reader.ok(page.take('prefect shell watch "make report"'))
    newest = reader.json("prefect flow-run ls --limit 1 --state Completed")[0]
    assert newest["tags"] == ["weekly"]
    logged(reader, newest["id"], "made it")
    serving = reader.begin(page.take('prefect shell serve "make report"'))
    [name] = until(
        lambda: [each for each in deployments(reader) if each.startswith("report/") and "weekly" not in each], "It"
    )
    run = reader.run_of(name)
    assert run.state_name == "Completed"
    logged(reader, str(run.id), "made it")
    reader.stop(serving)
    assert page.left == []


def test_workers(served: User) -> None:
    page = Page("workers.md")
    served.ok(page.take("prefect work-pool create etl"))
    served.begin(page.take("prefect worker start --pool etl"))
    served.ok(page.take("python - <<'PY'"))
    served.ok(page.take("prefect deployment run etl/nightly"))
    [run] = until(lambda: completed(served, "etl/nightly"), "The run")
    assert run.work_pool_name == "etl"
    logged(served, str(run.id), "loading today")

    served.ok(page.take("prefect work-pool storage configure s3 etl --bucket bundles"))
    assert served.json("prefect work-pool storage inspect etl")
    refused = served.run(page.take("prefect work-pool storage configure gcs etl"))
    assert refused.returncode == 1 and "lake" in refused.stderr, refused.stderr

    bound = page.take("from prefect.flows import bind_flow_to_infrastructure")
    sent = bound[: bound.index("remote.submit_to_work_pool")]  # needs the bucket
    served.write(
        "remote.py", f"{ETL}\nif __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in sent.splitlines())
        + "    assert future.result() == '2026-11-22'\n",
    )  # fmt: skip
    served.ok("python remote.py")
    ids = [
        run["deployment_id"] for run in served.json("prefect flow-run ls --flow-name etl --state Completed --limit 3")
    ]
    assert len(ids) == 3 and ids.count(None) == 2
    assert page.left == []
