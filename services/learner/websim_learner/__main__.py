"""`python -m websim_learner`: train, and what can be done with a run's policy afterwards."""

import os

# numpy's matrix products share out over threads by size: their last bits would depend on the
# machine, and a tile of 128 rows is not worth a thread. Read when numpy is first imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import sys  # noqa: E402 - after the environment that numpy reads
from typing import NoReturn  # noqa: E402

from websim.service.errors import UserError  # noqa: E402
from websim.service.main import run_service  # noqa: E402
from websim.service.settings import load_settings  # noqa: E402

USAGE = """\
usage: python -m websim_learner COMMAND ...

  train       train a policy on a fleet
  eval RUN    evaluate a run's policy: its mean action, episode by episode
  export RUN  write a run's policy as safetensors and ONNX, with golden vectors
  record RUN  render an episode of a run's policy as a film
  replay-decisions RUN  make a run's decisions again from its log, and compare

`python -m websim_learner COMMAND --help` lists the flags of a command."""


def run(argv: list[str]) -> int:
    """Carry out a command; return the exit code.

    Raises:
        UserError: something asked for is wrong; says what to do.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, rest = argv[0], argv[1:]
    # Imported for who asks: torch takes a second, --help should not.
    from websim_learner import settings

    match command:
        case "train":
            train_settings = load_settings(settings.TrainSettings, rest, command)
            from websim_learner.train import train

            return train(train_settings)
        case "eval":
            eval_settings = load_settings(settings.EvalSettings, rest, command)
            from websim_learner.commands import evaluate_run

            return evaluate_run(eval_settings)
        case "export":
            export_settings = load_settings(settings.ExportSettings, rest, command)
            from websim_learner.export import export_run

            return export_run(export_settings)
        case "record":
            record_settings = load_settings(settings.RecordSettings, rest, command)
            from websim_learner.record import record_run

            return record_run(record_settings)
        case "replay-decisions":
            replay_settings = load_settings(settings.ReplaySettings, rest, command)
            from websim_learner.adaptation.replay import replay_decisions

            return replay_decisions(replay_settings.run)
    raise UserError(f"there is no command {command}", "--help lists the commands.")


def main() -> NoReturn:
    """Entry point of the console script."""
    run_service(run)


if __name__ == "__main__":
    sys.exit(main())
