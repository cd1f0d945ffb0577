import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect._rules.cron import parse_cron

LIMITS = {"minutes": (0, 59), "hours": (0, 23), "days": (1, 31), "months": (1, 12)}


@pytest.mark.parametrize(
    ("expression", "field", "values"),
    [
        ("* * * * *", "minutes", range(60)),
        ("*/15 * * * *", "minutes", {0, 15, 30, 45}),
        ("5/20 * * * *", "minutes", {5, 25, 45}),
        ("1-10/3 * * * *", "minutes", {1, 4, 7, 10}),
        ("1,2,40-42 * * * *", "minutes", {1, 2, 40, 41, 42}),
        ("0 22-2 * * *", "hours", {22, 23, 0, 1, 2}),
        ("0 0 * jan,mar-apr *", "months", {1, 3, 4}),
        ("0 0 * nov-feb *", "months", {11, 12, 1, 2}),
        ("0 0 * * mon-fri", "weekdays", {1, 2, 3, 4, 5}),
        ("0 0 * * FRI-MON", "weekdays", {5, 6, 0, 1}),
        ("0 0 * * 7", "weekdays", {0}),
        ("0 0 * * 5-7", "weekdays", {5, 6, 0}),
        ("@weekly", "weekdays", {0}),
        ("@yearly", "months", {1}),
        ("0 0 * * * 30", "seconds", {30}),
        ("0 0 * * *", "seconds", {0}),
        ("0 0 * * * 0 2030-2032", "years", {2030, 2031, 2032}),
        ("0 0 * * 5#2,L1", "nth_weekdays", {(5, 2), (1, -1)}),
    ],
)
def test_fields(expression, field, values):
    assert getattr(parse_cron(expression), field) == frozenset(values)


def test_what_is_restricted():
    both = parse_cron("0 0 13 * fri")
    assert not both.any_day and not both.any_weekday
    assert parse_cron("0 0 13 * *").any_weekday
    assert parse_cron("0 0 ? * fri").any_day
    assert parse_cron("0 0 L * *").last_day
    assert parse_cron("* * * * *").years is None


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("60 * * * *", "minute 60 is not between 0 and 59"),
        ("* * * 13 *", "month 13"),
        ("* * * * funday", "'funday' is not a day of week"),
        ("*/0 * * * *", "step of 0"),
        ("@sometimes", "@daily"),
        ("R * * * *", "Random and Hashed"),
        ("h(1-5) * * * *", "Random and Hashed"),
        ("* * * * 5#6", "#1 to #5"),
        ("1, * * * *", "cannot read"),
    ],
)
def test_mistakes_are_named(expression, hint):
    with pytest.raises(ValueError, match=hint):
        parse_cron(expression)


@given(st.data())
def test_any_list_of_values_is_read_back(data):
    drawn = {name: data.draw(st.sets(st.integers(*limits), min_size=1, max_size=8)) for name, limits in LIMITS.items()}
    weekdays = data.draw(st.sets(st.integers(0, 6), min_size=1))
    text = " ".join(",".join(map(str, sorted(values))) for values in (*drawn.values(), weekdays))
    fields = parse_cron(text)
    assert {name: getattr(fields, name) for name in drawn} == drawn
    assert fields.weekdays == weekdays


@given(st.text(alphabet="0123456789*/-,?#LWRH amonfri@", max_size=25))
def test_any_text_is_read_or_refused_with_a_value_error(text):
    try:
        fields = parse_cron(text)
    except ValueError:
        return
    assert fields.minutes <= set(range(60)) and fields.weekdays <= set(range(7))
