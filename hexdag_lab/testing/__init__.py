"""What helps to test a lab and what is built for one: conformance suites and the simulated world.

It is shipped, so that whoever writes a store or a pool of their own can hold it to the same contract. It
knows the ports and the core only, never an implementation.
"""
