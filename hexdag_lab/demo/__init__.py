"""The demo: model search on scikit-learn's digits, changed while it runs by four agents and a person."""

from .search import ROLES, first_graph, join, policy

__all__ = ["ROLES", "first_graph", "join", "policy"]
