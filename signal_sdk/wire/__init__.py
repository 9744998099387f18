"""The protocol, pure: frames, functions, message lines, names and limits, tokens. No clock, no
trio, no sockets.
"""
