from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import prefect.types as types
from prefect import flows
from prefect.deployments import runner
from prefect.types import Date, DateTime, SecretDict, _datetime, names
from prefect.types.entrypoint import EntrypointType

# type, value given, value made (an exception when it is refused)
CASES = [
    ("ClientRetryExtraCodes", "404, 429", {404, 429}),
    ("ClientRetryExtraCodes", 404, {404}),
    ("ClientRetryExtraCodes", None, set()),
    ("ClientRetryExtraCodes", "", set()),
    ("ClientRetryExtraCodes", "99", ValidationError),
    ("ClientRetryExtraCodes", "abc", ValidationError),
    ("JsonStringOrDict", '{"a":"b"}', {"a": "b"}),
    ("JsonStringOrDict", {"a": "b"}, {"a": "b"}),
    ("JsonStringOrDict", "a=1", ValidationError),
    ("JsonStringOrDict", "[1]", ValidationError),
    ("KeyValueLabels", None, {}),
    ("KeyValueLabels", {"a": 1, "b": True, "c": 0.5, "d": "x"}, {"a": 1, "b": True, "c": 0.5, "d": "x"}),
    ("KeyValueLabels", {"a": None}, ValidationError),
    ("LaxUrl", " http://x/ ", "http://x/"),
    ("ListOfNonEmptyStrings", ["a", "", " b "], ["a", " b "]),
    ("ListOfNonEmptyStrings", "a,b", ["a", "b"]),
    ("ListOfNonEmptyStrings", None, ValidationError),
    ("LogLevel", "debug", "DEBUG"),
    ("LogLevel", "loud", ValidationError),
    ("LogLevel", 10, ValidationError),
    ("Name", "a/b", ValidationError),
    ("Name", "", ValidationError),
    ("NameOrEmpty", "", ""),
    ("NonEmptyishName", "''", ValidationError),
    ("NonEmptyishName", " a ", " a "),
    ("NonNegativeFloat", -1, ValidationError),
    ("NonNegativeInteger", 0, 0),
    ("NonNegativeTimeDelta", -1, ValidationError),
    ("NonNegativeTimeDelta", "PT1S", timedelta(seconds=1)),
    ("PositiveInterval", 0, ValidationError),
    ("PositiveInteger", 0, ValidationError),
    ("SecondsTimeDelta", "1.5", timedelta(seconds=1.5)),
    ("SecondsTimeDelta", "PT1S", timedelta(seconds=1)),
    ("SecondsTimeDelta", 2, timedelta(seconds=2)),
    ("SecondsTimeDelta", "soon", ValidationError),
    ("StatusCode", 600, ValidationError),
    ("StrictVariableValue", "x" * 4998, "x" * 4998),
    ("StrictVariableValue", "x" * 4999, ValidationError),
    ("StrictVariableValue", b"x", ValidationError),
    ("StrictVariableValue", {"a": [1, None]}, {"a": [1, None]}),
    ("TaskRetryDelaySeconds", "1,2", [1.0, 2.0]),
    ("TaskRetryDelaySeconds", "1.5", 1.5),
    ("TaskRetryDelaySeconds", "", None),
    ("TaskRetryDelaySeconds", "1,a", ValidationError),
    ("TimeZone", "Europe/Paris", "Europe/Paris"),
    ("TimeZone", "../etc/passwd", ValidationError),
    ("TimeZone", "America", ValidationError),
    ("URILike", "s3://a", "s3://a"),
    ("URILike", "S3://a", ValidationError),
    ("ValidAssetKey", "s3://a b", ValidationError),
    ("ValidAssetKey", "s3://" + "a" * 512, ValidationError),
]


@pytest.mark.parametrize(("name", "given", "made"), CASES)
def test_annotated_types(name, given, made):
    adapter = TypeAdapter(getattr(types, name))
    if made is ValidationError:
        with pytest.raises(ValidationError):
            adapter.validate_python(given)
    else:
        assert adapter.validate_python(given) == made


def test_a_datetime_field_is_aware():
    class Model(BaseModel):
        at: DateTime
        on: Date | None = None

    assert Model(at="2024-01-01").at == datetime(2024, 1, 1, tzinfo=UTC)
    assert Model(at=datetime(2024, 1, 1), on="2024-01-01").on == date(2024, 1, 1)
    paris = timezone(timedelta(hours=1))
    assert Model(at=datetime(2024, 1, 1, tzinfo=paris)).at.tzinfo is paris
    assert Model.model_json_schema()["properties"]["at"]["format"] == "date-time"
    assert isinstance(Model(at=0).at, DateTime)
    assert type(DateTime(2024, 1, 1)) is datetime and DateTime(2024, 1, 1).tzinfo is UTC
    with pytest.raises(ValidationError):
        Model(at="tomorrow")


def test_a_secret_dict_hides_its_values():
    secret = SecretDict({"password": "hush"})
    assert "hush" not in repr(secret) + str(secret)
    assert secret.get_secret_value() == {"password": "hush"}
    assert TypeAdapter(SecretDict).dump_json(secret) == b'"**********"'


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.raise_on_name_alphanumeric_dashes_only, ["a-1", "", None], ["a_b", "A", "é", "a\n"]),
        (names.raise_on_name_alphanumeric_underscores_only, ["a_1", "", None], ["a-b", "A"]),
        (names.raise_on_name_alphanumeric_dashes_underscores_only, ["a_1-b"], ["a b", "A"]),
        (names.non_emptyish, ["a"], ["", " ", "'\""]),
        (names.validate_uri, ["s3://a"], ["a", "://a"]),
        (names.validate_valid_asset_key, ["s3://a/b.csv"], ["s3://a?b", "a"]),
    ],
)
def test_names(check, good, bad):
    for value in good:
        assert check(value) == value
    for value in bad:
        with pytest.raises(ValueError):
            check(value)


def test_the_field_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"^The thing must only contain"):
        names.raise_on_name_alphanumeric_dashes_only("A", field_name="The thing")


def test_entrypoint_types():
    assert EntrypointType("file_path") is EntrypointType.FILE_PATH
    assert flows.EntrypointType is runner.EntrypointType is EntrypointType


def test_moments():
    moment = datetime(2024, 2, 28, 13, 14, 15, 16, tzinfo=UTC)
    assert _datetime.now().tzinfo is UTC and _datetime.now("Europe/Paris").tzinfo.key == "Europe/Paris"
    assert _datetime.parse_datetime("2024-01-01").tzinfo is UTC
    assert _datetime.from_timestamp(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert _datetime.start_of_day(moment) == datetime(2024, 2, 28, tzinfo=UTC)
    assert _datetime.end_of_period(moment, "minute") == moment.replace(second=59, microsecond=999_999)
    assert _datetime.end_of_period(moment, "week").date() == date(2024, 3, 3)
    with pytest.raises(ValueError, match="fortnight"):
        _datetime.end_of_period(moment, "fortnight")
    assert _datetime.to_datetime_string(moment) == "2024-02-28 13:14:15 UTC"
    assert "Europe/Paris" in _datetime.get_timezones()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5 * 60, "5 minutes before"),
        (2 * 86_400, "2 days after"),
        (0.2, "a few seconds after"),
        (-1, "1 second before"),
        (-8 * 86_400, "1 week before"),
    ],
)
def test_differences_in_words(seconds, text):
    base = datetime(2024, 1, 1, tzinfo=UTC)
    assert _datetime.human_friendly_diff(base + timedelta(seconds=seconds), base) == text
    assert _datetime.human_friendly_diff(None) == ""
    assert _datetime.human_friendly_diff(_datetime.now() - timedelta(hours=3)) == "3 hours ago"
