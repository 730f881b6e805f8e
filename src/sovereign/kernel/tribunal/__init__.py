"""kernel/tribunal."""
