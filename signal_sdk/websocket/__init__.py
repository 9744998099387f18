"""The link: bytes on a transport to WebSocket messages and back, for both roles. The only room that
knows the WebSocket library.
"""
