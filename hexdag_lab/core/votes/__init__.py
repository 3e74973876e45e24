"""Who may decide, how ballots are counted, and the life of a proposal."""
