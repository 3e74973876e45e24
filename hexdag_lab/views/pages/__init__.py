"""The dashboard of one session in Panel: a frame with the run, its moment and the tabs, and one file for each page."""

from ..visit import Identity, Lab, Visit
from .base import Place
from .frame import Dashboard

__all__ = ["Dashboard", "Identity", "Lab", "Place", "Visit"]
