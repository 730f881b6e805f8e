"""Routers, one file each, behind one Protocol."""
