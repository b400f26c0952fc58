"""`repro schema`: the JSON Schema of scenarios, for editors."""

import json

from rich import print_json

from harness.cli.kinds import VOCABULARY
from harness.scenario import json_schema


def schema() -> None:
    """Print the JSON Schema of scenarios; `scenarios/schema.json` is this."""
    print_json(json.dumps(json_schema(VOCABULARY)))
