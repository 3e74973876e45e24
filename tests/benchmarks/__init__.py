"""Benchmarks: speed and memory as ratios in one run, interleaved, medians. Never part of the test suite."""
