#!/usr/bin/env bash
# Sets up the virtual environment: `setup.sh run` what running needs, `setup.sh dev` the tests' and
# linters' needs as well. Called by the Makefile, which decides when; repeating it is harmless.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:?usage: scripts/setup.sh run|dev}
venv=${VENV:-.venv}
python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}

if [[ -z $python ]]; then
    echo "error: there is no python3 here. Install Python 3.11 or newer." >&2
    exit 2
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: $python is $("$python" --version 2>&1); Python 3.11 or newer is needed." \
        "Install it, or name another one: make PYTHON=/path/to/python3.11 ..." >&2
    exit 2
fi
if [[ ! -x $venv/bin/python ]]; then
    echo "creating $venv with $("$python" --version)"
    if ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        echo "error: $python cannot make virtual environments." \
            "Install its venv module (on Debian and Ubuntu: python3-venv)." >&2
        exit 2
    fi
fi

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check install -qq -c constraints.txt "$@"
}

echo "installing into $venv (the first time takes a minute or two)"
pip -r scripts/build-requirements.txt
"$venv/bin/python" scripts/install_torch.py
packages=()
for package in libs services/*; do
    packages+=(-e "./$package")
done
pip --no-build-isolation "${packages[@]}"
if [[ $kind == dev ]]; then
    pip -r tests/requirements.txt
fi
