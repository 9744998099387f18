"""`make pin-images`: writes behind each image that is built on, or run, the digest that its tag has
now, as `debian:13-slim@sha256:…`. What has one already is asked for anew, by its tag.

Owns: which lines of a file name an image, and how a digest is written there. skopeo asks the
registries. No file is changed unless each image of all of them has an answer.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

IMAGE: Final = re.compile(
    r"^(\s*(?:image:|ARG (?:BUILD|BASE)=)\s*)"
    r"([^\s@:]+(?::\d+/[^\s@:]+)?:[\w.-]+)"
    r"(?:@sha256:[0-9a-f]{64})?$",
    re.MULTILINE,
)
"""A name with a tag. One without, as an image that is built here, is nobody's in a registry."""
SECONDS: Final = 60


class NoDigestError(Exception):
    """A registry has not said it."""


def digest_of(image: str, *options: str) -> str:
    """The digest of what the registry has under this name and tag: of the list of images, where it
    has one for each kind of machine. Raises `NoDigestError`.
    """
    command = ["skopeo", "inspect", "--raw", *options, f"docker://{image}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)  # noqa: S603
    except FileNotFoundError:
        raise NoDigestError("skopeo is not there: install it, as Debian's package") from None
    except subprocess.TimeoutExpired:
        raise NoDigestError(f"{image}: no answer in {SECONDS} s") from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise NoDigestError(f"{image}: {said[-1] if said else 'the registry has said nothing'}")
    return f"sha256:{hashlib.sha256(done.stdout).hexdigest()}"


def main(arguments: list[str]) -> int:
    """Pin the images that these files name; arguments that begin with `--` are skopeo's."""
    options = [it for it in arguments if it.startswith("--")]
    files = {Path(it): Path(it).read_text("utf-8") for it in arguments if it not in options}
    digests: dict[str, str] = {}
    try:
        for text in files.values():
            for _, image in IMAGE.findall(text):
                digests[image] = digests.get(image) or digest_of(image, *options)
    except NoDigestError as exc:
        sys.stderr.write(f"nothing was pinned: {exc}\n")
        return 1
    for path, text in files.items():
        path.write_text(IMAGE.sub(lambda it: f"{it[1]}{it[2]}@{digests[it[2]]}", text), "utf-8")
    for image, digest in digests.items():
        sys.stdout.write(f"{image}@{digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
