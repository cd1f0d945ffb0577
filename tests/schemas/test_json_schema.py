import pytest

from prefect._schemas.json_schema import SchemaMismatch, check_against_schema, mismatches
from prefect.client.schemas.actions import DeploymentCreate, DeploymentUpdate

FLOW = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    ("schema", "fits", "does_not"),
    [
        ({"type": "integer"}, [1, 2.0, -3], ["1", 1.5, True, None]),
        ({"type": ["string", "null"]}, ["a", None], [1]),
        ({"type": "number", "minimum": 1, "exclusiveMaximum": 3}, [1, 2.5], [0, 3, "2"]),
        ({"multipleOf": 0.1}, [0.3, 7], [0.25]),
        ({"enum": ["a", 1]}, ["a", 1], ["b", True]),
        ({"const": False}, [False], [0, None]),
        ({"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^a"}, ["ab", "abc"], ["a", "bcd", "abcd"]),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [[], [1, 2]], [["a"], [1, 1]]),
        ({"prefixItems": [{"type": "string"}], "items": False}, [["a"], []], [[1], ["a", "b"]]),
        ({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, [{"a": 1, "b": 2}], [{}, {"a": "x"}]),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}, {}], [{"b": 1}]),
        (
            {"additionalProperties": {"type": "string"}, "maxProperties": 1},
            [{"a": "b"}],
            [{"a": 1}, {"a": "", "b": ""}],
        ),
        ({"patternProperties": {"^x": {"type": "integer"}}}, [{"x1": 1, "y": "a"}], [{"x1": "a"}]),
        ({"anyOf": [{"type": "integer"}, {"minLength": 3}]}, [1, "abc"], ["ab"]),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, [0, 6], [3]),
        ({"allOf": [{"minimum": 1}, {"maximum": 5}]}, [3], [0, 6]),
        ({"not": {"type": "null"}}, [1], [None]),
        ({"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}, [{"a": 1}], [{"a": ""}]),
        (
            {"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "type": "object"},
            [{"next": {"next": None}}],
            [{"next": {"next": 1}}],
        ),
    ],
)
def test_words_of_the_vocabulary(schema, fits, does_not):
    for value in fits:
        assert list(mismatches(value, schema)) == []
    for value in does_not:
        assert list(mismatches(value, schema)), value


def test_the_message_says_where():
    schema = {"properties": {"a": {"items": {"type": "integer"}}}, "required": ["b"]}
    with pytest.raises(SchemaMismatch, match=r"set: 'b' is a required property; a\[1\]: 'x' is not of type 'integer'"):
        check_against_schema({"a": [1, "x"]}, schema, what="set")


@pytest.mark.parametrize("reference", ["https://example.com/schema.json", "file:///etc/passwd", "other.json"])
def test_nothing_is_fetched(reference):
    with pytest.raises(SchemaMismatch, match="only references within the schema"):
        check_against_schema(1, {"$ref": reference})


def test_references_without_end_are_refused():
    with pytest.raises(SchemaMismatch, match="without end"):
        check_against_schema(1, {"$ref": "#"})
    with pytest.raises(SchemaMismatch, match="not in it"):
        check_against_schema(1, {"$ref": "#/$defs/none"})


TEMPLATE = {
    "job_configuration": {},
    "variables": {
        "type": "object",
        "properties": {"image": {"type": "string"}, "cpu": {"type": "integer", "default": 1}},
        "required": ["image", "cpu"],
    },
}


def test_job_variables_are_checked_against_a_pools_template():
    DeploymentCreate(name="d", flow_id=FLOW, job_variables={"image": "x"}).check_valid_configuration(TEMPLATE)
    DeploymentUpdate(job_variables={"image": "x", "cpu": 2}).check_valid_configuration(TEMPLATE)
    DeploymentUpdate(job_variables={"anything": 1}).check_valid_configuration({})
    with pytest.raises(ValueError, match="'image' is a required property"):
        DeploymentCreate(name="d", flow_id=FLOW).check_valid_configuration(TEMPLATE)
    with pytest.raises(ValueError, match="cpu: 'two' is not of type 'integer'"):
        DeploymentUpdate(job_variables={"image": "x", "cpu": "two"}).check_valid_configuration(TEMPLATE)
    assert TEMPLATE["variables"]["required"] == ["image", "cpu"]
