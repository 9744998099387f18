"""`python -m website`: build the documentation site into build/site, strictly.

Owns: the order of the steps. Must not know what stands on any page. The pages are gathered into
build/pages first: the site has the documents as they are in the repository, and links that lead out
of it are none there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from website.codes import code_pages
from website.pages import ROOT, gather

CONFIGURATION = Path(__file__).with_name("zensical.toml")


def main(build: Path = ROOT / "build") -> int:
    """Gather the pages and have them built. Returns the exit code: a link that leads nowhere, or
    an object that is not there, is an error.
    """
    folder = build / "docs"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(build / "site", ignore_errors=True)
    gather(folder, os.environ.get("SIGNAL_SDK_REPOSITORY", "").rstrip("/"))
    code_pages(folder / "codes")
    # The paths in it go by where it is.
    configuration = build / CONFIGURATION.name
    text = CONFIGURATION.read_text("utf-8")
    configuration.write_text(text.replace("PACKAGE", ROOT.as_posix()), "utf-8")
    folders = (str(Path(sys.executable).parent), os.environ["PATH"])
    program = shutil.which("zensical", path=os.pathsep.join(folders))
    if program is None:
        sys.stderr.write("error: the site needs the extra docs: make site installs it\n")
        return 2
    done = subprocess.run(  # noqa: S603  our own tool
        [program, "build", "--strict", "--clean", "--config-file", str(configuration)], check=False
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
