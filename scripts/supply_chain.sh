#!/usr/bin/env bash
# What the services are made of. `supply_chain.sh sbom` writes it as CycloneDX, a file for each
# service and one for the dashboard's page; `supply_chain.sh audit` asks PyPI for known
# vulnerabilities of it all, and fails when there are some or when PyPI does not answer.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:?usage: scripts/supply_chain.sh sbom|audit}
venv=${VENV:-.venv}
tools=build/supply-chain
services=(sim-worker orchestrator learner reward-gen dashboard)

# The tools need much that is no business of ours, so they have an environment of their own.
if ! cmp -s scripts/supply-chain-requirements.txt "$tools/installed.txt"; then
    "$venv/bin/python" -m venv --clear "$tools"
    "$tools/bin/python" -m pip --disable-pip-version-check install -qq -r scripts/supply-chain-requirements.txt
    cp scripts/supply-chain-requirements.txt "$tools/installed.txt"
fi

made_of() {
    "$venv/bin/python" scripts/list_installed.py "$@"
}

case $kind in
    sbom)
        mkdir -p dist/sbom
        for service in "${services[@]}"; do
            made_of "websim-$service" | PYTHONWARNINGS=ignore "$tools/bin/cyclonedx-py" requirements - \
                --pyproject "services/$service/pyproject.toml" --mc-type application \
                --output-format JSON --output-file "dist/sbom/$service.cdx.json"
        done
        VENV=$venv scripts/build_page.sh sbom >dist/sbom/page.cdx.json
        echo "wrote dist/sbom/{$(IFS=,; echo "${services[*]}"),page}.cdx.json"
        ;;
    audit)
        made_of "${services[@]/#/websim-}" >"$tools/all.txt"
        "$tools/bin/pip-audit" --strict --no-deps --disable-pip --requirement "$tools/all.txt"
        ;;
    *)
        echo "error: supply_chain.sh knows sbom and audit, not '$kind'" >&2
        exit 2
        ;;
esac
