"""The kits of the lab's own tests: a lab without Dask and files, and a run that a gate keeps going."""

from tests.lab.conftest import _gates, dag, lab, running, slow_dag

__all__ = ["_gates", "dag", "lab", "running", "slow_dag"]
