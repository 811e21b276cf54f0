"""Look the pinned requirements up among known vulnerabilities, or say why not."""  # noqa: INP001

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "deploy" / "requirements.txt"


def main() -> int:
    """Return 1 if a requirement is known to be vulnerable."""
    command = ["pip-audit", "-r", str(REQUIREMENTS), "--disable-pip", "--no-deps", "--format", "json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        sys.stdout.write(f"NOT AUDITED: pip-audit could not run: {reason}\n")
        return 0
    skipped = [each for each in found if "skip_reason" in each]
    vulnerable = [each for each in found if each.get("vulns")]
    sys.stdout.write(f"{len(found) - len(skipped)} of {len(found)} requirements were looked up\n")
    if skipped:
        sys.stdout.write(f"NOT AUDITED: {len(skipped)}, such as: {skipped[0]['skip_reason']}\n")
    for each in vulnerable:
        ids = ", ".join(known["id"] for known in each["vulns"])
        sys.stdout.write(f"{each['name']} {each['version']}: {ids}\n")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
