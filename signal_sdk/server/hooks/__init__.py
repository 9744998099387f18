"""A backend is told what happens, and asked before it does."""
