#!/usr/bin/env python3
"""Ask the advisory service about every locked package, and say plainly where that failed.

Ends with 1 for a finding that is not in IGNORED and for a package that was not looked at where
others were; with 0 where nothing was found, and where the database is out of reach.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

IGNORED: dict[str, str] = {}
"""Advisory -> why it does not concern this project, to be read again at each new lock."""

TOOL = "pip-audit==2.10.1"
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run pip-audit on the lock and sum up what it says."""
    uv = os.environ.get("UV") or str(ROOT / ".venv" / "bin" / "uv")
    # the lock names every package and its version: nothing need be resolved or installed
    words = [uv, "tool", "run", TOOL, "--disable-pip", "--no-deps", "--format=json", "--timeout=10"]
    words += ["--progress-spinner=off", f"--requirement={ROOT / 'requirements.lock'}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return told(done.stdout, done.stderr)


def told(out: str, err: str) -> int:
    """Say what pip-audit found, its JSON ``out``, or why it could not; return the exit code."""
    try:
        packages = json.loads(out)["dependencies"]
    except (ValueError, LookupError, TypeError):
        lines = [line for line in err.splitlines() if line.strip()] or ["it said nothing"]
        return said(f"audit: did not run: {lines[-1].strip()[:200]}", 0)
    unseen = [package for package in packages if "skip_reason" in package]
    if packages and len(unseen) == len(packages):
        reason = f"the service knows none of {len(packages)} packages: {unseen[0]['skip_reason']}"
        return said(f"audit: did not run: {reason}", 0)
    found = {
        f"{package['name']} {package['version']}: {advisory['id']}, mended in "
        f"{', '.join(advisory['fix_versions']) or 'no version yet'}"
        for package in packages
        for advisory in package.get("vulns", ())
        if not {advisory["id"], *advisory.get("aliases", ())} & IGNORED.keys()
    }
    found |= {f"{package['name']}: not looked at, {package['skip_reason']}" for package in unseen}
    for line in sorted(found):
        said(f"audit: {line}", 1)
    ignored = "".join(f"; ignored {name}: {why}" for name, why in IGNORED.items())
    return said(
        f"audit: {len(packages)} packages, {len(found)} findings{ignored}", int(bool(found))
    )


def said(line: str, code: int) -> int:
    """Write a line and return ``code``."""
    sys.stdout.write(f"{line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
