"""``collector``: makes the collector of the daemon's and its clients' traces a bad one for a while."""

from dataclasses import replace
from typing import Literal

from harness.actors.base import ActorEnv, CouldNot
from harness.actors.relayed import HttpDisturbance
from harness.daemons.http_relay import HttpFault, HttpRelay


class Collector(HttpDisturbance):
    """Have what hands on traces meet a fault; `when.lasting` says for how long.

    The run has a collector of its own then, to which the daemon and its clients hand their traces (OTLP over HTTP).
    """

    one_of = ("answer", "delay", "cut")

    cut: Literal["for_a_while"] | None = None
    """`for_a_while`: nothing passes, and comes late."""

    @property
    def needs_collector(self) -> bool:
        """It does nothing else."""
        return True

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return f"has a collector of traces that {'falls silent' if self.cut else self.trouble}"

    @property
    def fault(self) -> HttpFault:
        """What becomes of requests."""
        return replace(super().fault, holds=self.cut is not None)

    def relay(self, stage: ActorEnv) -> HttpRelay:
        """Return what stands before the collector.

        Raises:
            CouldNot: the run has none.
        """
        if stage.collector is None:
            raise CouldNot("the run has no collector of traces")
        return stage.collector
