"""Who may decide, how ballots are counted, what voters have earned, and the life of a proposal."""

from . import delegate, logodds, people, presets, weighing  # all policies, so that the codec knows them

__all__ = ["delegate", "logodds", "people", "presets", "weighing"]
