"""Expert caches: traces, policies, the time line and the two-tier runtime."""
