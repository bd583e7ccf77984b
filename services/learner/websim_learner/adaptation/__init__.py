"""How a run changes what it learns from: triggers, candidates, trials, decisions, rollback.

Decisions are pure functions of what was measured (statistics, triggers, verdicts); adapter.py
carries them out between two updates of the trainer.
"""
