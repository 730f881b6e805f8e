"""The review console: a thin face over the gate, on this machine only. Imports fastapi and jinja2 when it is served; refuses logic of its own."""
