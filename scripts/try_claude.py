"""Asks Claude once, for real: `ANTHROPIC_API_KEY=... scripts/try_claude.py TASK "WORDS" [flags]`.

Starts a reward-gen of its own on a free port with a cap of 0.50 USD (further flags go to it, as in
--model claude-haiku-5-5), asks for two candidates, prints verdicts and cost, and stops it.
The exit status is 0 when Claude answered and a candidate was accepted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

START_DEADLINE_S = 60.0
ANSWER_DEADLINE_S = 600.0


def main(argv: list[str]) -> int:
    """Ask once; return the exit code."""
    if len(argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    if not os.environ.get("ANTHROPIC_API_KEY") and "--api-key-file" not in argv:
        print("error: set ANTHROPIC_API_KEY or give --api-key-file FILE", file=sys.stderr)
        return 2
    name, words, *flags = argv
    told = subprocess.run(
        [sys.executable, "-m", "websim_sim_worker", "tasks", name, "--json"],
        stdout=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if key != "ANTHROPIC_API_KEY"},
        check=False,
    )
    if told.returncode:
        return told.returncode
    body = {"task": json.loads(told.stdout), "description": words, "provider": "claude"}
    with tempfile.TemporaryDirectory() as folder:
        answer = ask(Path(folder), flags, body | {"num_candidates": 2})
    return show(answer)


def ask(folder: Path, flags: list[str], body: dict[str, Any]) -> dict[str, Any]:
    """Return what a reward-gen that lives for this one question answers."""
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "websim_reward_gen", "--provider", "claude"]
    command += ["--http-port", "0", "--ready-file", str(ready)]
    command += ["--ledger", str(folder / "ledger.jsonl"), "--usd-per-run", "0.50", *flags]
    service = subprocess.Popen(command)
    try:
        give_up_s = time.monotonic() + START_DEADLINE_S
        while not ready.exists():
            if service.poll() is not None or time.monotonic() > give_up_s:
                sys.exit("error: reward-gen did not start; it says why above")
            time.sleep(0.1)
        url = json.loads(ready.read_text())["http_url"]
        request = urllib.request.Request(
            f"{url}/v1/rewards", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ANSWER_DEADLINE_S) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    finally:
        service.terminate()
        service.wait()


def show(answer: dict[str, Any]) -> int:
    """Print an answer for people; return the exit code."""
    for failure in answer["failures"]:
        print(f"{failure['provider']} failed ({failure['kind']}): {failure['message']}")
    print(f"{answer['provider']}: {answer['action']}: {answer['diagnosis']}")
    accepted = 0
    for candidate in answer["candidates"]:
        verdict = candidate["verdict"]
        accepted += verdict["accepted"] and candidate["provenance"]["provider"] == "claude"
        said = "accepted" if verdict["accepted"] else verdict["issues"][0]["message"]
        print(f"\n{candidate['name']}: {said}\n{candidate['hypothesis']}\n{candidate['program']}")
    usage = answer["usage"]
    print(
        f"{usage['attempts']} attempts, {usage['input_tokens']} + {usage['output_tokens']} tokens, "
        f"{usage['usd']:.4f} USD"
    )
    return 0 if accepted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
