"""kernel/language."""
