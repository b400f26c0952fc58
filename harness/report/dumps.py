"""Dumps as one HTML page: the diagnosis, the picture of waits, and the goroutines by bucket."""

from collections.abc import Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.buildkit.goroutines.model import Bucket, Goroutine
from harness.core.records import Diagnosis
from harness.report.wait_figure import wait_figure

_BUCKETS: Final = 200


def dumps_page(found: Diagnosis, last: Sequence[Goroutine], buckets: Sequence[Bucket]) -> str:
    """Return the page; it needs nothing else.

    Args:
        found: what the dumps come to.
        last: the last of them.
        buckets: its goroutines, counted.
    """
    environment = Environment(
        loader=PackageLoader("harness", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("templates/dumps.html").render(
        found=found,
        **dict(zip(("head", "_", "rest"), found.sentence.partition(": "), strict=True)),
        waits=wait_figure(found, last),
        buckets=[(bucket, _place(bucket)) for bucket in buckets[:_BUCKETS]],
        left_out=max(0, len(buckets) - _BUCKETS),
        goroutines=sum(bucket.count for bucket in buckets),
    )


def _place(bucket: Bucket) -> str:
    """Return the innermost function that is not Go's own."""
    functions = [frame.function for frame in bucket.frames]
    return next(
        (frame.function for frame in bucket.frames if frame.is_users), functions[0] if functions else "no stack"
    )
