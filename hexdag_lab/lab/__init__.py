"""The facade: labs, runs and proposals as people use them. Sugar; it decides nothing."""

from .draft import SharedDraft
from .lab import Lab
from .proposal import ProposalHandle
from .run import Run

__all__ = ["Lab", "ProposalHandle", "Run", "SharedDraft"]
