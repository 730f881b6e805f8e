"""kernel/verify."""
