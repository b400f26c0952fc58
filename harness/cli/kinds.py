"""The words of a scenario: every kind of actor and of daemon that there is."""

from typing import Final

from harness.actors.table import ACTORS
from harness.daemons.table import DAEMONS
from harness.scenario import Vocabulary

VOCABULARY: Final = Vocabulary(ACTORS, tuple(DAEMONS))
