"""The URLs of a Redis: what they stand for, what is refused, and that no password is shown."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.redis_urls import RedisTarget, RedisUrlError, parse_redis, shown_redis

SECRET = "s3cr3t-0f-th3-h0us3"


@pytest.mark.parametrize(
    ("urls", "target"),
    [
        (["redis://10.0.0.5"], RedisTarget(hosts=(("10.0.0.5", 6379),))),
        (["REDIS://Host.example:7000/"], RedisTarget(hosts=(("Host.example", 7000),))),
        (
            ["redis://ann:p%40ss%2Fword@[::1]:7000/3"],
            RedisTarget(
                hosts=(("::1", 7000),), username="ann", password="p@ss/word", database=3
            ),
        ),
        (["redis://:a:b@h"], RedisTarget(hosts=(("h", 6379),), password="a:b")),
        (["redis://h?db=4"], RedisTarget(hosts=(("h", 6379),), database=4)),
        (
            ["rediss://h/1?ssl_ca_certs=/etc/ca.pem&ssl_certfile=a.pem&ssl_keyfile=a.key"],
            RedisTarget(
                hosts=(("h", 6379),),
                database=1,
                is_tls=True,
                ca_file="/etc/ca.pem",
                cert_file="a.pem",
                key_file="a.key",
            ),
        ),
        (["unix:///var/lib/redis.sock"], RedisTarget(path="/var/lib/redis.sock")),
        (
            ["unix://:pw@/var/lib/my%20redis.sock?db=2"],
            RedisTarget(path="/var/lib/my redis.sock", password="pw", database=2),
        ),
        (
            ["redis+cluster://a", "redis+cluster://b:7001/0"],
            RedisTarget(kind="cluster", hosts=(("a", 6379), ("b", 7001))),
        ),
        (
            ["rediss+cluster://:pw@a:1,b:2"],
            RedisTarget(
                kind="cluster", hosts=(("a", 1), ("b", 2)), password="pw", is_tls=True
            ),
        ),
        (
            ["redis+sentinel://a/main?db=1", "redis+sentinel://b:7/main?db=1"],
            RedisTarget(
                kind="sentinel", hosts=(("a", 26379), ("b", 7)), master="main", database=1
            ),
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_meant_is_understood(urls: list[str], target: RedisTarget) -> None:
    found = parse_redis(urls)
    assert found == target
    assert found.password == target.password


WRONG = {
    "no url": ["localhost:6379"],
    "another scheme": [f"http://:{SECRET}@h"],
    "a password that is not encoded": [f"redis://:{SECRET}/x@h"],
    "a question mark in a password": [f"redis://:{SECRET}?x@h"],
    "a hash in a password": [f"redis://:{SECRET}#x@h"],
    "one slash": [f"redis:/{SECRET}"],
    "white space": [f"redis://:{SECRET} @h"],
    "a line's end": [f"redis://:{SECRET}@h\n"],
    "an address that is none": [f"redis://:{SECRET}@[::1"],
    "characters that look like others": [f"redis://:{SECRET}@h\u2100"],
    "no host": [f"redis://:{SECRET}@"],
    "no port": [f"redis://:{SECRET}@h:"],
    "port 0": [f"redis://:{SECRET}@h:0"],
    "a large port": [f"redis://:{SECRET}@h:65536"],
    "a database by name": [f"redis://:{SECRET}@h/main"],
    "two databases": [f"redis://:{SECRET}@h/1?db=1"],
    "unknown": [f"redis://h?password={SECRET}"],
    "twice": [f"redis://:{SECRET}@h?db=1&db=1"],
    "TLS without TLS": [f"redis://:{SECRET}@h?ssl_ca_certs=x"],
    "a certificate alone": [f"rediss://:{SECRET}@h?ssl_certfile=x"],
    "a socket with a host": [f"unix://:{SECRET}@h/redis.sock"],
    "a socket without a path": [f"unix://:{SECRET}@/"],
    "several hosts": [f"redis://:{SECRET}@a,b"],
    "several": [f"redis://:{SECRET}@a", f"redis://:{SECRET}@b"],
    "a Cluster's database": [f"redis+cluster://:{SECRET}@h/1"],
    "a Cluster's other database": [f"redis+cluster://:{SECRET}@h?db=1"],
    "no master": [f"redis+sentinel://:{SECRET}@h"],
    "a path of masters": [f"redis+sentinel://:{SECRET}@h/a/b"],
    "of two kinds": [f"redis+cluster://:{SECRET}@a", f"redis+sentinel://:{SECRET}@b/main"],
    "of two passwords": [f"redis+cluster://:{SECRET}@a", "redis+cluster://b"],
    "of two masters": ["redis+sentinel://a/one", f"redis+sentinel://a/{SECRET}"],
}


@pytest.mark.parametrize("urls", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_refused_without_a_word_of_it(urls: list[str]) -> None:
    with pytest.raises(RedisUrlError) as caught:
        parse_redis(urls)
    assert caught.value.index == len(urls) - 1
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert str(caught.value).isprintable()
    assert shown_redis(urls) == "<no Redis>"


def test_a_password_may_be_given_beside() -> None:
    assert parse_redis(["redis://ann@h"], SECRET).password == SECRET
    with pytest.raises(RedisUrlError, match="has a password already") as caught:
        parse_redis(["redis://:other@h"], SECRET)
    assert SECRET not in str(caught.value)


def test_a_target_says_where_it_is_and_shows_no_password() -> None:
    assert shown_redis([]) == "()"
    for urls, text in (
        ([f"redis://ann:{SECRET}@[::1]:7"], "the Redis at [::1]:7"),
        ([f"unix://:{SECRET}@/a.sock"], "the Redis at /a.sock"),
        ([f"redis+cluster://:{SECRET}@a:1,b:2"], "the Redis Cluster of a:1 and b:2"),
        ([f"redis+sentinel://:{SECRET}@a:1/main"], "the Redis main of the Sentinels a:1"),
    ):
        target = parse_redis(urls)
        assert target.password == SECRET
        assert SECRET not in repr(target)
        assert str(target) == text
        assert shown_redis(urls) == f"<{text}>"


@given(st.sampled_from(["", "redis:", "rediss://:", "redis+sentinel://a:"]), st.text())
def test_any_text_is_shown_without_a_password(scheme: str, text: str) -> None:
    """Whether it is understood or refused."""
    assert SECRET not in shown_redis([f"{scheme}{SECRET}{text}@host"])
    assert SECRET not in shown_redis([f"{scheme}{text}{SECRET}@host/main"])
