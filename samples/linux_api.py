"""A chat in the terminal, without an event loop: the flat API of the Linux SDK.

    python samples/linux_api.py --server 127.0.0.1:8001 --app demo --account alice

What you type goes to the person or the channel that you have switched to:

    /to ACCOUNT      switch to a person
    /join CHANNEL    switch to a channel, and join it
    /leave           leave the channel
    /quit            log out, and end (so do Ctrl-D and Ctrl-C)
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from signal_sdk import ECode, IAgoraAPI, ICallBack, ParameterError, create_agora_sdk_instance_cpp

HELP = "Type /to ACCOUNT or /join CHANNEL, then what you want to say; /leave, /quit."


class Chat(ICallBack):
    """What is heard. Callbacks run in a thread of their own, while the main one reads lines."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.is_known = threading.Event()
        """Is it known what came of the login?"""
        self.is_over = threading.Event()
        self.ecode = 0

    def on_login_success(self, uid: int, fd: int) -> None:
        say(f"{self.account} is online. {HELP}")
        self.is_known.set()

    def on_login_failed(self, ecode: int) -> None:
        self.end(ecode)

    def on_logout(self, ecode: int) -> None:
        # First, so that an Enter that follows at once finds it so.
        self.end(ecode)
        if ecode != ECode.LOGOUT_E_USER:
            say("you are logged out; press Enter")

    def end(self, ecode: int) -> None:
        self.ecode = ecode
        self.is_over.set()
        self.is_known.set()

    def on_reconnecting(self, nretry: int) -> None:
        say(f"the connection is lost; try {nretry}")

    def on_reconnected(self, fd: int) -> None:
        say("the connection is there again")

    def on_message_instant_receive(self, account: str, uid: int, msg: str) -> None:
        say(f"{account}: {msg}")

    def on_message_channel_receive(
        self,
        channelID: str,
        account: str,
        uid: int,
        msg: str,
    ) -> None:
        if account != self.account:
            say(f"{account} in {channelID}: {msg}")

    def on_channel_joined(self, channelID: str) -> None:
        say(f"you are in {channelID}")

    def on_channel_user_list(self, n: int, accounts: list[str], uids: list[int]) -> None:
        say(f"{n} there: {', '.join(accounts)}")

    def on_channel_user_joined(self, account: str, uid: int) -> None:
        say(f"{account} has joined")

    def on_channel_user_leaved(self, account: str, uid: int) -> None:
        say(f"{account} has left")

    def on_channel_join_failed(self, channelID: str, ecode: int) -> None:
        say(f"no way into {channelID}: {ECode(ecode).meaning}")

    def on_channel_leaved(self, channelID: str, ecode: int) -> None:
        say(f"you have left {channelID}")

    def on_message_send_error(self, messageID: str, ecode: int) -> None:
        say(f"that was not sent: {ECode(ecode).meaning}")

    def on_error(self, name: str, ecode: int, desc: str) -> None:
        # It follows each failure's own callback, and says why.
        if not self.is_over.is_set():
            say(f"error: {name}: {desc} ({ecode})")


def chat(api: IAgoraAPI, callback: Chat) -> None:
    """Do what the lines of stdin say, until the last one, or /quit."""
    person = channel = ""
    for line in sys.stdin:
        if callback.is_over.is_set():
            return
        match line.split(maxsplit=1):
            case ["/quit"]:
                return
            case ["/to", name]:
                person, channel = name.strip(), ""
                say(f"what you type goes to {person}")
            case ["/join", name]:
                person, channel = "", name.strip()
                api.channel_join(channel)
            case ["/leave"] if channel:
                api.channel_leave(channel)
                channel = ""
            case []:
                pass
            case [word, *_] if word.startswith("/"):
                say(HELP)
            case _ if person:
                api.message_instant_send(person, 0, line.strip())
            case _ if channel:
                api.message_channel_send(channel, line.strip())
            case _:
                say(HELP)


def main(args: argparse.Namespace) -> int:
    callback = Chat(args.account)
    with create_agora_sdk_instance_cpp(server=args.server) as api:
        api.callback_set(callback)
        api.login2(args.app, args.account, args.token)
        try:
            callback.is_known.wait()
            if not callback.is_over.is_set():
                chat(api, callback)
        except KeyboardInterrupt:
            pass
        if not callback.is_over.is_set():
            api.logout()
            callback.is_over.wait(5)
    return callback.ecode


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat in the terminal.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", required=True)
    parser.add_argument("--token", default="_no_need_token")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        ended = main(parser.parse_args())
    except ParameterError as exc:
        sys.exit(f"error: {exc}")
    if ended != ECode.LOGOUT_E_USER:
        sys.exit(f"error: {ECode(ended).meaning} ({ended})")
