"""Prints what packages of this repository need from elsewhere, a requirement a line.

`list_requirements.py libs services/learner` reads their pyproject.toml files. Images install these
first: a change of our own code then downloads nothing again.
"""

import re
import sys
import tomllib
from pathlib import Path


def requirements(packages: list[str]) -> list[str]:
    """Return the dependencies of packages, given by their folders, except on one another."""
    projects = [
        tomllib.loads((Path(package) / "pyproject.toml").read_text())["project"]
        for package in packages
    ]
    ours = {project["name"] for project in projects}
    wanted = {need for project in projects for need in project["dependencies"]}
    return sorted(need for need in wanted if re.split(r"[^\w.-]", need)[0] not in ours)


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
