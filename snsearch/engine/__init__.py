"""The inference engines: models written from operators, the programs that run them, and their protocol.

Nothing here knows how a device is reached; nothing is imported before it is asked for.
"""
