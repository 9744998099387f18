"""The original native SDK's link: packets over TCP, and the lookup over UDP that finds it. What the
words in them mean is wire/'s.
"""
