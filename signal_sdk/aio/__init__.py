"""The SDK for asyncio: the same objects, awaited and streamed in the user's own event loop.

    import asyncio
    from signal_sdk.aio import Signal

    async def main():
        async with Signal("demo") as signal, signal.login("alice", token) as session:
            await session.message_instant_send("bob", "hello")

    asyncio.run(main())

All else is as `signal_sdk` has it: callbacks, events, errors. Owns: which names are public. Nothing
outside of this package knows asyncio.
"""

from signal_sdk.aio.objects import Call, Channel, LoginSession
from signal_sdk.aio.signal import Signal

__all__ = ["Call", "Channel", "LoginSession", "Signal"]
