"""Imports every module of a package; fails when that brings in, or even installs, what it must not.

`import_all.py <package> <forbidden module>...`; run by check_alone.sh in an environment that holds
only the package and what it declares.
"""

import importlib
import importlib.util
import pkgutil
import sys


def main(name: str, *forbidden: str) -> int:
    """Import the package; return the exit code."""
    package = importlib.import_module(name)
    names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{name}.")]
    for module_name in names:
        importlib.import_module(module_name)
    leaked = [module for module in forbidden if importlib.util.find_spec(module) is not None]
    if leaked:
        print(f"error: installing {name} alone brings in {', '.join(leaked)}", file=sys.stderr)
        return 1
    print(f"{name}: {len(names) + 1} modules import alone, without {', '.join(forbidden)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
