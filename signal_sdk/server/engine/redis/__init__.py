"""The engine on Redis: the state of many nodes, of which each is one.

All of it that runs in Redis is in `lua/`. Only `connection.py` knows the Redis library.
"""
