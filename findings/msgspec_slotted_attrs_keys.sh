#!/usr/bin/env bash
# msgspec 0.22.0 and attrs 26.1.0: an object of a slotted attrs class is written with its keys in
# alphabetical order, those of a subclass before those of its base, and not in the order of its
# definition. The same class without slots, a dataclass (with slots, too) and a Struct keep their
# order. A reader that wants a key first, a signature over the text, or a text that is compared
# with a recorded one notices.
#
# Seen: slotted attrs {"account":"x","reason":"","result":"ok"}, all others
# {"result":"ok","reason":"","account":"x"}; with a base {"a":2,"z":3,"b":1}.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0 attrs==26.1.0
cat >"$folder/show.py" <<'PY'
import dataclasses

import attrs
import msgspec


def fields():
    return {"__annotations__": {"result": str, "reason": str, "account": str},
            "result": "ok", "reason": "", "account": "x"}


classes = {
    "attrs, slots": attrs.define(type("A", (), fields())),
    "attrs, no slots": attrs.define(slots=False)(type("B", (), fields())),
    "dataclass, slots": dataclasses.dataclass(slots=True)(type("C", (), fields())),
    "Struct": type("D", (msgspec.Struct,), fields()),
}
for name, cls in classes.items():
    print(f"{name}: {msgspec.json.encode(cls()).decode()}")


@attrs.define
class Base:
    b: int = 1


@attrs.define
class Derived(Base):
    z: int = 3
    a: int = 2


print(f"attrs, slots, derived: {msgspec.json.encode(Derived()).decode()}")
PY
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
attrs, slots: {"account":"x","reason":"","result":"ok"}
attrs, no slots: {"result":"ok","reason":"","account":"x"}
dataclass, slots: {"result":"ok","reason":"","account":"x"}
Struct: {"result":"ok","reason":"","account":"x"}
attrs, slots, derived: {"a":2,"z":3,"b":1}
SEEN
