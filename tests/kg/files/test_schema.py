"""The published JSON Schemas are those of the models, and the shipped laws satisfy them."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from spak.kg.files import schema
from spak.kg.files.yaml_reader import read

LAWS = Path(__file__).parents[3] / "laws"


@pytest.mark.parametrize("kind", schema.MODELS)
def test_the_committed_schema_is_current(kind):
    """Mend with `kg schema --write laws/schema`."""
    assert (LAWS / "schema" / schema.file_name(kind)).read_text() == schema.schema_text(kind)


@pytest.mark.parametrize("kind", schema.MODELS)
def test_a_schema_is_one(kind):
    Draft202012Validator.check_schema(schema.schema(kind))


def test_a_shipped_law_satisfies_the_published_schema_and_a_broken_one_does_not():
    validator = Draft202012Validator(schema.schema("law"))
    path = LAWS / "nvidia/attention/attention-finite-mask-floor.yaml"
    value = read(path.read_bytes(), str(path)).value
    assert validator.is_valid(value)
    assert not validator.is_valid(value | {"status": "sure"})
