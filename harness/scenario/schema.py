"""The JSON Schema of scenarios, for editors: what `load` refuses by shape alone, the schema refuses too."""

from typing import Any

from harness.scenario.model import Scenario, Vocabulary


def json_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a scenario with the actors and daemons of `vocabulary`."""
    schema = Scenario.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    del definitions["ActorSpec"]
    for kind, spec in sorted(vocabulary.actors.items()):
        actor = spec.model_json_schema()
        definitions |= actor.pop("$defs", {})
        actor["properties"] = {kind: actor["properties"].pop("name")} | actor["properties"]
        actor["required"] = [kind, *(key for key in actor["required"] if key != "name")]
        definitions[spec.__name__] = actor
    schema["properties"]["actors"]["items"] = {
        "anyOf": [{"$ref": f"#/$defs/{spec.__name__}"} for _, spec in sorted(vocabulary.actors.items())]
    }
    definitions["DaemonSpec"]["properties"]["kind"] = {"enum": [*sorted(vocabulary.daemons), None], "default": None}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
