"""The state machine of a run: `decide(state, message) -> (events, effects)`, `evolve(state, event) -> state`.

Everything that happens to a run is one of the messages of `messages`, is decided on in `decide`, is recorded as events
of `events`, and makes the next state in `evolve`. What the outside world has to do is said by `effects`. Pure and
total: any message in any state gives an answer, never an exception.
"""
