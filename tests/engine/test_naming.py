"""Names of runs that cannot be made: the error says what is missing and what there is."""

from __future__ import annotations

from typing import Any

import pytest

from prefect import flow, task

pytestmark = pytest.mark.usefixtures("home")

BAD = {
    "{nope}": (KeyError, "there is no parameter 'nope'. The parameters are: x, y."),
    "{}": (IndexError, "out of range"),
    "{x:zz}": (ValueError, "Unknown format code"),
    "{x": (ValueError, "expected '}'"),
    "{x.foo}": (AttributeError, "no attribute 'foo'"),
    "{x[a]}": (TypeError, "not subscriptable"),
    "{flow_run.foo}": (AttributeError, "prefect.runtime.flow_run has no attribute 'foo'; it has:"),
}


@pytest.mark.parametrize("template", BAD)
@pytest.mark.parametrize(("decorator", "option"), [(flow, "flow_run_name"), (task, "task_run_name")])
def test_a_template_that_cannot_be_filled_in(decorator: Any, option: str, template: str) -> None:
    def work(x: int, y: int = 2) -> int:
        return x

    kind, words = BAD[template]
    with pytest.raises(kind) as caught:
        decorator(**{option: template})(work)(1)
    text = str(caught.value.args[0])
    assert text.startswith(f"The {option} {template!r} of 'work' cannot be filled in: ")
    assert words in text


def test_the_state_says_that_it_was_the_name() -> None:
    @flow(flow_run_name=lambda: {}["who"])
    def work(x: int) -> None: ...

    state = work(1, return_state=True)
    assert state.message == "Naming of the flow run failed with error: KeyError: 'who'"
    state = work("x", return_state=True)  # type: ignore[arg-type]
    assert str(state.message).startswith("Validation of flow parameters failed with error: ParameterTypeError")


def test_a_template_for_a_task_without_parameters() -> None:
    @task(task_run_name="{x}")
    def work() -> None: ...

    with pytest.raises(KeyError, match="There are no parameters"):
        work()


class Shy:
    """Cannot be formatted, and says so in its own way."""

    class Refusal(ValueError):
        def __init__(self, code: int, why: str) -> None:
            super().__init__(why)
            self.code = code

    def __format__(self, spec: str) -> str:
        raise self.Refusal(7, "no")


def test_an_error_of_the_parameter_itself_is_left_alone() -> None:
    @task(task_run_name="{x}")
    def work(x: Shy) -> None: ...

    with pytest.raises(Shy.Refusal) as caught:
        work(Shy())
    assert caught.value.code == 7 and str(caught.value) == "no"
