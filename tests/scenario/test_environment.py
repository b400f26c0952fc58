"""Variables that a scenario may give: what tunes a daemon or a client, and nothing that leads elsewhere."""

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.scenario.environment import Environment

READER: TypeAdapter[dict[str, str]] = TypeAdapter(Environment)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "GODEBUG", "BUILDKIT_SCHEDULER_DEBUG", "HTTP_PROXY"])
def test_what_tunes(name: str) -> None:
    """It is taken as it stands."""
    assert READER.validate_python({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "LD_PRELOAD",
        "DOCKER_HOST",
        "BUILDKIT_HOST",
        "BUILDKIT_SETUP_CGROUPV2_ROOT",
        "BUILDKIT_CNI_INIT_LOCK_PATH",
        "BUILDX_CONFIG",
        "BUILDX_BUILDER",
        "HOME",
        "TMPDIR",
        "GOROOT",
    ],
)
def test_what_leads_elsewhere(name: str) -> None:
    """It is refused by its name, with what is allowed."""
    with pytest.raises(ValidationError, match=rf"{name}: no variable that a scenario may give; allowed are OTEL_"):
        READER.validate_python({"GODEBUG": "x", name: "x"})
