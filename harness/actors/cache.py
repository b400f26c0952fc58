"""What builds export of their cache, and import of what was exported."""

from typing import Literal, Self

from pydantic import model_validator

from harness.actors.template import Place
from harness.core.model import StrictModel


class ExternalCache(StrictModel):
    """A cache outside of the daemon."""

    type: Literal["inline", "local", "registry", "s3", "gha"]
    name: Place | None = None
    """Which one; without it, the actor's own. `{iteration % 3}` stands for a number."""

    @model_validator(mode="after")
    def _nameless(self) -> Self:
        if self.type == "inline" and self.name:
            raise ValueError("`inline` is the cache in the image itself, and has no name")
        return self


class CacheTo(ExternalCache):
    """Where a build exports its cache to: into the image, a folder of each line's own, the run's registry, or an S3
    bucket or a cache service as of GitHub Actions (`gha`), which are the run's own too.
    """

    mode: Literal["min", "max"] | None = None
    """`max`: also that of steps which the result does not hold. Without it, `min`."""
    ignore_error: bool = False
    """Whether a build succeeds whose cache could not be exported, as with a registry that is down."""

    @model_validator(mode="after")
    def _modeless(self) -> Self:
        if self.type == "inline" and self.mode == "max":
            raise ValueError("`inline` holds what the image holds, which is `mode: min`")
        if self.type == "inline" and self.ignore_error:
            raise ValueError(
                "`inline` is exported with the image, so there is no error of its own: leave `ignore_error` out"
            )
        return self


class CacheFrom(ExternalCache):
    """Where a build imports cache from; `inline`: the image that the same line pushed before."""
