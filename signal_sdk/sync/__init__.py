"""The SDK for scripts and notebooks: with-blocks, plain iterators, and calls that wait.

    from signal_sdk.sync import Signal

    with Signal("demo") as signal, signal.login("alice", token) as session:
        session.message_instant_send("bob", "hello")
        for message in session.messages(timeout=10):
            print(message.account, message.text)

Owns: which names are public. Must not know an event loop: it works where one runs, as in Jupyter's
cells, and where none does.
"""

from signal_sdk.sync.objects import Call, Channel, LoginSession
from signal_sdk.sync.signal import Signal
from signal_sdk.sync.stream import Stream

__all__ = ["Call", "Channel", "LoginSession", "Signal", "Stream"]
