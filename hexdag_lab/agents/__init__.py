"""Agents: rules as plain functions, people, and language models (`llm`, loaded by who has one).

What they answer is asked for by the runtime's desk."""

from .agent import Agent, name_of
from .human import HumanAgent

__all__ = ["Agent", "HumanAgent", "name_of"]
