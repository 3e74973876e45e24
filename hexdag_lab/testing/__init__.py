"""What helps to test a lab and what is built for one: conformance suites, the simulated world, and simulated votes.

It is shipped, so that whoever writes a store or a pool of their own can hold it to the same contract. It
knows the ports and the core only, never an implementation.
"""

from .simulate import Voter, simulate_votes

__all__ = ["Voter", "simulate_votes"]
