#!/usr/bin/env bash
# Builds each package, installs it alone in a fresh environment, and imports all of its modules:
# a shared environment hides a dependency that was not declared, and a heavy one that leaked in.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# An environment that is imported once and thrown away needs no bytecode.
export PIP_NO_COMPILE=1

site_packages() {
    "$1/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))"
}

VENV=$venv scripts/build_page.sh release
"$venv/bin/python" -m pip --disable-pip-version-check wheel -qq --no-deps \
    --no-build-isolation --wheel-dir "$root/wheels" ./libs ./services/*

page=websim_dashboard/page/index.html
"$venv/bin/python" -m zipfile --list "$root"/wheels/websim_dashboard-*.whl | grep "^$page " >/dev/null || {
    echo "error: the dashboard's wheel does not carry $page" >&2
    exit 1
}

# check <distribution> <import package> <modules that must not come along>...
check() {
    local distribution=$1 package=$2
    shift 2
    local alone=$root/$package
    "$venv/bin/python" -m venv --without-pip "$alone"
    if [[ $package == websim_learner ]]; then
        # Torch is large: it is linked, with what pip knows of it.
        cp -al "$(site_packages "$venv")"/{torch,torchgen,functorch,torch-*.dist-info} \
            "$(site_packages "$alone")"
    fi
    "$venv/bin/python" -m pip --python "$alone/bin/python" --disable-pip-version-check install -qq -c constraints.txt \
        --find-links "$root/wheels" "$distribution"
    (cd "$root" && "$alone/bin/python" -W error::ImportWarning "$OLDPWD/scripts/import_all.py" "$package" "$@")
    rm -rf "$alone"
}

check websim websim torch mujoco
check websim-orchestrator websim_orchestrator torch mujoco
check websim-sim-worker websim_sim_worker torch
check websim-learner websim_learner mujoco
check websim-reward-gen websim_reward_gen torch mujoco
check websim-dashboard websim_dashboard torch mujoco
