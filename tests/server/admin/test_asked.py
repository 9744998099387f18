"""What is read of a request: whatever comes is of its form, or a problem that can be told."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.admin.asked import decode_body, path_of, query_of
from signal_sdk.server.admin.operations import Operation
from signal_sdk.server.admin.problems import ProblemError
from signal_sdk.server.admin.routes import OPERATIONS
from signal_sdk.server.admin.schemas import Message, MessageToMany, PageQuery, TokenWish, Value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "ttl", "sender", "accounts", "rights", "value", "x"]), inner
        )
    ),
    max_leaves=8,
)


def check(problem: ProblemError) -> None:
    assert problem.problem.status in {400, 422}
    assert msgspec.json.decode(problem.response().body)["detail"]


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_any_bytes_are_of_the_form_or_a_problem(body: bytes) -> None:
    for form in (Message, MessageToMany, TokenWish, Value):
        try:
            assert isinstance(decode_body(body, form), form)
        except ProblemError as exc:
            check(exc)


@given(st.binary(max_size=100) | st.from_regex(rb"(limit|cursor)=[0-9%a-f]{1,9}(&x=)?"))
def test_any_query_is_of_the_form_or_a_problem(query: bytes) -> None:
    try:
        found = query_of(query, PageQuery)
    except ProblemError as exc:
        check(exc)
    else:
        assert 1 <= found.limit <= 1000


@given(st.text(st.characters(codec="ascii"), max_size=50))
def test_any_part_of_a_path_is_text_or_a_problem(part: str) -> None:
    try:
        account = path_of({"account": part})["account"]
    except ProblemError as exc:
        check(exc)
    else:
        assert account == unquote(part)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda it: it.name)
def test_an_operation_needs_what_it_says(operation: Operation) -> None:
    """Whatever is of one app says which, and whatever changes anything needs a right to that."""
    assert operation.path.startswith("/v1/")
    assert operation.is_of_app or operation.method == "GET"
    if operation.changes:
        assert operation.right in {"send", "kick", "attributes", "tokens"}
    assert operation.summary
    assert (operation.body is not None) == (operation.method in {"POST", "PUT"})
