"""SOVEREIGN: an owner-gated research kernel."""

__version__ = "0.1.0"
