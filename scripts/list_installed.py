"""Prints what a package needs to run, with the versions that are installed here, transitively.

`list_installed.py websim-learner` prints `name==version`, a line for each, without our own
packages: what `make sbom` and `make audit` look at.
"""

import sys
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure(packages: list[str]) -> dict[str, str]:
    """Return the versions of what packages need, by name; extras count where they are asked for."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    wanted = [(Requirement(package), "") for package in packages]
    while wanted:
        need, _ = wanted.pop()
        installed = distribution(need.name)
        name = canonicalize_name(installed.name)
        found[name] = installed.version
        for extra in need.extras | {""}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in installed.requires or []:
                further = Requirement(line)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    wanted.append((further, extra))
    return {name: found[name] for name in sorted(found) if not name.startswith("websim")}


if __name__ == "__main__":
    for name, version in closure(sys.argv[1:]).items():
        # A local version, as in 2.13.0+cpu, says how it was built, not what it is.
        print(f"{name}=={version.partition('+')[0]}")
