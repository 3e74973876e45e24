"""The versioned DAG as a value: nodes, wiring, waves, code identity, changes. Usable with nothing else loaded."""
