#!/usr/bin/env bash
# httpx 0.28.1: `Response.iter_lines` ends a line wherever `str.splitlines` does: also at U+2028,
# U+2029, U+0085, and the separators U+001C to U+001E. JSON allows the first three inside of a text
# as they are, and many encoders leave them so (JSON.stringify does, and `json.dumps` with
# `ensure_ascii=False`). A stream of server-sent events, or of one JSON text a line, that is read by
# `iter_lines` is therefore cut within an event: what comes first is no JSON, and what somebody has
# written behind the separator is a line of its own, which may look like a field. Those formats end
# lines by LF and CR alone: read `iter_raw` or `iter_bytes`, and split there.
#
# Seen: one event of one line is read as three lines, by which the second is another event's field.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1
cat >"$folder/show.py" <<'PY'
import json

import httpx

said = "see\u2028id: 7\u0085there"
body = f"data: {json.dumps({'text': said}, ensure_ascii=False)}\n\n".encode()
response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=body)
for line in response.iter_lines():
    print(f"iter_lines: {line!r}")
for line in b"".join(response.iter_bytes()).split(b"\n")[:-1]:
    print(f"by LF: {ascii(line.decode())}")
PY
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
iter_lines: 'data: {"text": "see'
iter_lines: 'id: 7'
iter_lines: 'there"}'
iter_lines: ''
by LF: 'data: {"text": "see\u2028id: 7\x85there"}'
by LF: ''
SEEN
