"""The base of everything that people write in YAML: frozen, and unknown keys are refused."""

from pydantic import BaseModel, ConfigDict


class Written(BaseModel):
    """A part of a scenario."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True)
