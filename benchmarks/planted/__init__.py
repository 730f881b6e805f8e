"""Planted flaws: good drafts from the real path, and ways to spoil them. Imports the project; the library here is invented and says so."""
