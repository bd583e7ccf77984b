"""Starts and supervises services on this machine, and is the `websim` command.

Services run only as `python -m websim_<service>`: nothing here imports one. `fleet` starts an
orchestrator and its workers, `run` adds a learner, `cli` is the command line.
"""
