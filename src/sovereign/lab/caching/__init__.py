"""Expert caching: traces to events, event-atomic replay, the time line, policies, predictors and the two-tier runtime.

Imports errors, records and numpy; numba and torch only inside the modules that need them. Refuses to open a network connection.
Axis letters: T tokens, L layers, E experts per layer, K chosen experts, N events (one layer of one step), A accesses (expert, event).
"""
