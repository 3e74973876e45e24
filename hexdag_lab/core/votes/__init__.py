"""Who may decide, how ballots are counted, and the life of a proposal."""

from . import people, presets, weighing  # all policies, so that the codec knows them

__all__ = ["people", "presets", "weighing"]
