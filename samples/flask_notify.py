"""A web endpoint that sends a message: the flat API in a Flask program.

    pip install flask
    python samples/flask_notify.py --server 127.0.0.1:8001 --app demo --port 5000
    curl -d to=alice -d text='Your parcel is here' http://127.0.0.1:5000/notify

The answer is `{"id": MESSAGE_ID}` once the server has the message, or `{"error": …, "ecode": …}`
with 400 (an argument is wrong), 503 (not logged in) or 502 (anything else). Each request has a
thread of its own in which it waits for its message's callback; the instance serves them all.

A server that forks its workers (gunicorn, uwsgi) makes the `Notifier` in each worker, or makes it
before and logs in there: what was used before a fork cannot be used after it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import uuid
from contextlib import suppress

import flask
from werkzeug.serving import make_server

from signal_sdk import ECode, ICallBack, ParameterError, create_agora_sdk_instance_cpp

HOST = "127.0.0.1"
ANSWER_SECONDS = 15
"""Above the 10 s that the SDK waits for the server."""

STATUS = {
    ECode.GENERAL_E_NOT_LOGIN: 503,
    ECode.GENERAL_E_WRONG_PARAM: 400,
    ECode.GENERAL_E_LARGE_PARAM: 400,
}


class Notifier(ICallBack):
    """An account that sends, and what came of each message."""

    def __init__(self, server: str | None, app: str, account: str, token: str) -> None:
        self.api = create_agora_sdk_instance_cpp(server=server)
        self.api.callback_set(self)
        self._user = (app, account, token)
        self._is_known = threading.Event()
        self._has_been_in = False
        self._failure = 0
        self._waiting: dict[str, threading.Event] = {}
        self._failed: dict[str, int] = {}

    def log_in(self) -> int:
        """Log in, and wait for what comes of it: 0, or the code of the failure."""
        self.api.login2(*self._user)
        self._is_known.wait()
        return self._failure

    def send(self, account: str, text: str) -> tuple[str, int]:
        """Send a message, and wait for its outcome: its id, and 0 or the code of the failure."""
        if not self.api.get_status():
            return "", ECode.GENERAL_E_NOT_LOGIN
        # One's own id, so that its outcome is waited for before it can come.
        message_id, done = uuid.uuid4().hex, threading.Event()
        self._waiting[message_id] = done
        self.api.message_instant_send(account, 0, text, message_id)
        has_ended = done.wait(ANSWER_SECONDS)
        self._waiting.pop(message_id, None)
        failure = self._failed.pop(message_id, 0)
        return message_id, failure if has_ended else ECode.SENDMESSAGE_E_TIMEOUT

    def on_login_success(self, uid: int, fd: int) -> None:
        self._has_been_in = True
        self._is_known.set()

    def on_login_failed(self, ecode: int) -> None:
        if self._has_been_in and ecode == ECode.LOGIN_E_NET:
            self.api.login2(*self._user)
        else:
            self._failure = ecode
            self._is_known.set()

    def on_logout(self, ecode: int) -> None:
        if ecode == ECode.LOGOUT_E_NET:
            # The tries of login2 are used up; a service outlives its server's restarts.
            self.api.login2(*self._user)
        elif ecode != ECode.LOGOUT_E_USER:
            print(f"logged out: {ECode(ecode).meaning} ({ecode})", flush=True)

    def on_message_send_success(self, messageID: str) -> None:
        if done := self._waiting.get(messageID):
            done.set()

    def on_message_send_error(self, messageID: str, ecode: int) -> None:
        if done := self._waiting.get(messageID):
            self._failed[messageID] = ecode
            done.set()


def make_app(notifier: Notifier) -> flask.Flask:
    app = flask.Flask(__name__)

    @app.post("/notify")
    def notify() -> tuple[dict[str, object], int]:
        to, text = flask.request.form.get("to", ""), flask.request.form.get("text", "")
        if not text:
            wrong = ECode.GENERAL_E_WRONG_PARAM
            return {"error": "there is no text", "ecode": int(wrong)}, STATUS[wrong]
        message_id, failure = notifier.send(to, text)
        if failure:
            error = {"error": ECode(failure).meaning, "ecode": int(failure)}
            return error, STATUS.get(ECode(failure), 502)
        return {"id": message_id}, 200

    return app


def main(args: argparse.Namespace) -> int:
    notifier = Notifier(args.server, args.app, args.account, args.token)
    with notifier.api:
        if failure := notifier.log_in():
            return failure
        server = make_server(HOST, args.port, make_app(notifier), threaded=True)
        print(f"{args.account} notifies at http://{HOST}:{server.server_port}/notify", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A web endpoint that sends a message.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="notifier")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument("--port", type=int, default=5000, help="0 takes any free one")
    # SIGTERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        failed = main(parser.parse_args())
    except ParameterError as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
    if failed:
        sys.exit(f"error: {ECode(failed).meaning} ({failed})")
