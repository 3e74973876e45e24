"""Attempts, node states, and what a change of the graph means for work in progress."""
