"""Engines: where state lives, and how nodes reach each other. The rules see base.py's contract
only.
"""
