"""Bytes in and out of connections: transports, what waits to be sent, and the one task that reads
for all of them. Knows no protocol; the links of websocket/ stand on it.
"""
