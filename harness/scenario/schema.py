"""The JSON Schema of scenarios, for editors: what `load` refuses by shape alone, the schema refuses too."""

import ast
import inspect
import itertools
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import ModelSchema

from harness.scenario.model import Scenario, Vocabulary


def json_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a scenario with the actors and daemons of `vocabulary`."""
    schema = Scenario.model_json_schema(schema_generator=_WithDocstrings)
    definitions: dict[str, Any] = schema["$defs"]
    del definitions["ActorSpec"]
    for kind, spec in sorted(vocabulary.actors.items()):
        actor = spec.model_json_schema(schema_generator=_WithDocstrings)
        definitions |= actor.pop("$defs", {})
        actor["properties"] = {kind: actor["properties"].pop("name")} | actor["properties"]
        actor["required"] = [kind, *(key for key in actor["required"] if key != "name")]
        definitions[spec.__name__] = actor
    schema["properties"]["actors"]["items"] = {
        "anyOf": [{"$ref": f"#/$defs/{spec.__name__}"} for _, spec in sorted(vocabulary.actors.items())]
    }
    definitions["DaemonSpec"]["properties"]["kind"] = {"enum": [*sorted(vocabulary.daemons), None], "default": None}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class _WithDocstrings(GenerateJsonSchema):
    """Describes each property by the docstring below its field.

    Pydantic can do so itself (``use_attribute_docstrings``), but then reads the source of each model at each start.
    """

    def model_schema(self, schema: ModelSchema) -> dict[str, Any]:
        described = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        keys = {name: field.alias or name for name, field in model.model_fields.items()}
        for name, text in _docstrings(model):
            if name in keys:
                described["properties"][keys[name]]["description"] = text
        return described


def _docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the name and the docstring of each attribute of a model, those of its bases first."""
    for part in reversed(model.__mro__):
        if not issubclass(part, BaseModel) or part is BaseModel or part.__pydantic_generic_metadata__["origin"]:
            continue
        source = ast.walk(ast.parse(dedent(inspect.getsource(part))))
        written = next(node for node in source if isinstance(node, ast.ClassDef))
        for field, below in itertools.pairwise(written.body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    yield name, inspect.cleandoc(text)
