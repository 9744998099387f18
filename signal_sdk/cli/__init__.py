"""The command line, one module a command; `main` puts them together.

Needs click, which only the extra `server` brings: nothing outside `cli` imports it.
"""
