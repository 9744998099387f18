"""User attributes and the number of users in a channel: what a `Signal` asks for through its latest
session.

Owns: how each outcome becomes a `UserAttrCallback`'s `err` and `ret`, and what becomes of what is
asked through none. Must not know which session it is asked through.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from signal_sdk.callbacks import UserAttrCallback
from signal_sdk.client import given
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.facts import Sink, UsersCounted
from signal_sdk.client.log import Log, warn
from signal_sdk.client.operation import Operation
from signal_sdk.client.request import NUM_CODES
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.errors import SignalError
from signal_sdk.wire import functions, names, results

__all__ = ["UserAttributes", "of_nobody"]

Tell = Callable[[str, dict[str, Any]], object]
"""One method of a `UserAttrCallback`."""


class UserAttributes:
    """The attribute functions of one session."""

    def __init__(self, requests: Requests, dispatcher: Dispatcher) -> None:
        self._requests = requests
        self._dispatcher = dispatcher

    def _succeeded(self, tell: Tell | None, ret: dict[str, Any]) -> None:
        if tell is not None:
            self._dispatcher.put_outcome(partial(tell, "", {"result": "ok", **ret}))

    def _failing(self, tell: Tell | None) -> Callable[[SignalError], None] | None:
        if tell is None:
            return None
        put = self._dispatcher.put_outcome

        def failed(exc: SignalError) -> None:
            put(partial(tell, exc.reason, {"result": "failed", "reason": exc.reason}))

        return failed

    def set(self, name: str, value: str, cb: UserAttrCallback | None) -> Operation[None]:
        """`user_set_attr`."""
        tell = cb.on_user_set_attr if cb is not None else None
        return self._requests.call(
            lambda: functions.UserSetAttr(
                name=given.text("attribute name", name),
                value=given.content("attribute value", value),
            ),
            results.SetAttrResult,
            nothing,
            done=lambda result: self._succeeded(tell, {"reason": result.reason}),
            failed=self._failing(tell),
        )

    def get(self, account: str, name: str, cb: UserAttrCallback | None) -> Operation[str]:
        """`user_get_attr`."""
        tell = cb.on_user_get_attr if cb is not None else None

        def done(result: results.GetAttrResult) -> None:
            value = names.json_text(result.value)
            ret = {"account": result.account, "name": result.name, "value": value}
            self._succeeded(tell, ret)

        return self._requests.call(
            lambda: functions.UserGetAttr(
                account=given.text("account", account), name=given.text("attribute name", name)
            ),
            results.GetAttrResult,
            lambda result: names.json_text(result.value),
            done=done,
            failed=self._failing(tell),
        )

    def get_all(self, account: str, cb: UserAttrCallback | None) -> Operation[dict[str, str]]:
        """`user_get_attr_all`."""
        tell = cb.on_user_get_attr_all if cb is not None else None

        def convert(result: results.GetAttrAllResult) -> dict[str, str]:
            return {name: names.json_text(value) for name, value in result.attributes().items()}

        def done(result: results.GetAttrAllResult) -> None:
            self._succeeded(tell, {"account": result.account, "json": convert(result)})

        return self._requests.call(
            lambda: functions.UserGetAttrAll(account=given.text("account", account)),
            results.GetAttrAllResult,
            convert,
            done=done,
            failed=self._failing(tell),
        )

    def query_num(self, channel: str, sink: Sink[UsersCounted] | None) -> Operation[int]:
        """`channel_query_num`; `sink` is told of its outcome."""

        def done(result: results.QueryNumResult) -> None:
            if sink is not None:
                sink(UsersCounted("", result.num))

        def failed(exc: SignalError) -> None:
            if sink is not None:
                sink(UsersCounted(exc.reason, 0))

        return self._requests.call(
            lambda: functions.ChannelQueryNum(channel=given.text("channel", channel)),
            results.QueryNumResult,
            lambda result: result.num,
            done=done,
            failed=failed if sink is not None else None,
            codes=NUM_CODES,
        )


def of_nobody(dispatcher: Dispatcher, log: Log) -> UserAttributes:
    """What is asked before anybody has logged in: it fails with 1003, and is logged unless that is
    heard of.
    """

    def unheard(operation: Operation[Any], _: str, error: SignalError) -> None:
        def tell() -> None:
            if not operation.is_awaited:
                warn("%s", error)

        dispatcher.put_outcome(tell)

    requests = Requests(unheard, lambda: False, log)
    requests.seal("login comes first")
    return UserAttributes(requests, dispatcher)
