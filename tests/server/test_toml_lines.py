"""The scanner finds the line of each key, whatever stands before it."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.toml_lines import key_lines

# QQQ is three single quotes, which end this string.
DOCUMENT = r'''# [not.a.table]
top = 1 # top = 2
[server]
host = """a
[b] # """"
'po rt' = ''
"\u0061dvertise" = [1,
  2, # ]
  {x = ']', "y" . z = [ [], "}" ]}, ]
[limits]
a.b = -1.5e3
a.'c.d' = 2020-06-30 00:00:00
  [[ "apps" ]]
id = 'x\'
listeners = [
  "a\\",
  "b\"",
  """\
  c\"""",
]
[apps.sub]
k = 1
[[apps.deep]]
[[apps.deep]]
k = QQQ
QQQ
[[apps]]
[apps.sub]
k = 2
[outer.inner]
k = 3
[outer]
k = 4'''.replace("QQQ", "'''")

LINES = {
    ("top",): 2,
    ("server",): 3,
    ("server", "host"): 4,
    ("server", "po rt"): 6,
    ("server", "advertise"): 7,
    ("server", "advertise", 0): 7,
    ("server", "advertise", 1): 8,
    ("server", "advertise", 2): 9,
    ("server", "advertise", 2, "x"): 9,
    ("server", "advertise", 2, "y"): 9,
    ("server", "advertise", 2, "y", "z"): 9,
    ("server", "advertise", 2, "y", "z", 0): 9,
    ("server", "advertise", 2, "y", "z", 1): 9,
    ("limits",): 10,
    ("limits", "a"): 11,
    ("limits", "a", "b"): 11,
    ("limits", "a", "c.d"): 12,
    ("apps", 0): 13,
    ("apps", 0, "id"): 14,
    ("apps", 0, "listeners"): 15,
    ("apps", 0, "listeners", 0): 16,
    ("apps", 0, "listeners", 1): 17,
    ("apps", 0, "listeners", 2): 18,
    ("apps", 0, "sub"): 21,
    ("apps", 0, "sub", "k"): 22,
    ("apps", 0, "deep", 0): 23,
    ("apps", 0, "deep", 1): 24,
    ("apps", 0, "deep", 1, "k"): 25,
    ("apps", 1): 27,
    ("apps", 1, "sub"): 28,
    ("apps", 1, "sub", "k"): 29,
    ("outer", "inner"): 30,
    ("outer", "inner", "k"): 31,
    ("outer",): 32,
    ("outer", "k"): 33,
}

VALUES = [
    "1",
    "true",
    "1979-05-27T07:32:00Z",
    '""',
    "''",
    '"]\\"[#"',
    "'\\'",
    '"""\n"" \\""""""',
    "'''\n''\n'''''",
    "[]",
    "[\n# ]\n[ [\n'a\"', ], ] ,\n]",
    "{}",
    '{ "a b" = {c.d=[{}]}, e = "}" }',
]


def test_every_table_key_and_element_has_its_line() -> None:
    tomllib.loads(DOCUMENT)
    assert key_lines(DOCUMENT) == LINES


def test_line_ends_may_be_those_of_windows() -> None:
    assert key_lines(DOCUMENT.replace("\n", "\r\n")) == LINES


def test_a_document_may_be_empty() -> None:
    assert key_lines("") == {}
    assert key_lines("# nothing") == {}


@given(st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from(["", " # [x", "\n"]))))
def test_values_of_any_kind_mislead_nobody(values: list[tuple[str, str]]) -> None:
    before = "".join(f"key{index} = {value}{end}\n" for index, (value, end) in enumerate(values))
    document = f"{before}[table]\nkey = 1"
    tomllib.loads(document)
    lines = key_lines(document)
    assert lines["table",] == before.count("\n") + 1
    assert lines["table", "key"] == before.count("\n") + 2
    assert [path for path in lines if len(path) == 1] == [
        *((f"key{index}",) for index in range(len(values))),
        ("table",),
    ]
