"""The pure core: no I/O, clock, randomness, threads or logging below this line.

Layers, arrows go down: `machine` -> `votes | runs` -> `dag` -> `base`.
"""
