"""The numbers of the protocol's life: who waits how long for whom (docs/protocol.md)."""

HEARTBEAT_S = 0.25
"""A worker tells at least this often that its loop turns; the orchestrator answers."""

TICK_S = 0.1
"""How often the orchestrator judges silences."""

WORKER_SILENCE_S = 0.75
"""A worker silent for this long, beyond the longest command it was seen to need, is lost."""

COMMAND_PATIENCE = 4.0
"""Silence granted on top of WORKER_SILENCE_S, as a multiple of the longest command seen."""

BUILD_PATIENCE_S = 30.0
"""Silence granted to a worker that is building a shard: compiling a large model takes seconds."""

ORCHESTRATOR_SILENCE_S = 5.0
"""A worker that hears nothing for this long registers anew."""

HELD_GRACE_S = 120.0
"""A worker that hears nothing for this long drops the shards it holds."""

RECLAIM_S = 5.0
"""How long after its start an orchestrator waits for the workers that hold a session's shards."""

HELLO_INTERVAL_S = 0.2
"""A worker that is not registered says hello this often."""

CONNECT_DEADLINE_S = 5.0
"""A client that gets no answer within this time says that there is no orchestrator."""

CLIENT_PROBE_S = 0.5
"""A waiting client that hears nothing for this long re-sends what is outstanding; the orchestrator
probes silent clients as often."""

CLIENT_GRACE_S = 10.0
"""Sessions of a client that cannot be reached for this long are closed."""

FLEET_DEADLINE_S = 60.0
"""A client that waits this long for one answer gives up with a FleetTimeout."""

PERSON_DEADLINE_S = 10.0
"""What a person asks over HTTP is given up after this long without an answer."""

DRAIN_DEADLINE_S = 3.0
"""A worker asked to stop leaves after this long even if not all its shards have moved."""

MAX_DEATHS_AT_STEP = 3
"""A step that ends this many workers in a row is skipped: its episodes end as invalid."""

TRIAL_PATIENCE_S = 1.0
"""Silence granted to a worker that tries a suspect alone; doubles with every death at the step."""

MAX_TRIAL_PATIENCE_S = 600.0
"""A slow step is through within it, however short of processors the machine is."""

SILENCE_PROVES_S = 20.0
"""A silent worker may be slow: after this long without a word it is evidence against its step."""

MAX_DEATHS_AT_ALL = 20
"""A session whose step ends this many workers in a row, or silences them, is given up."""

CALM_S = 10.0
"""Workers lost for other reasons within this time make losses at a step prove less."""

MAX_DEATHS_IN_STORM = 8
"""A step that ends this many workers in a row is skipped even when others are lost, too."""

MAX_DEATHS_BUILDING = 20
"""A shard that is being rebuilt while this many workers in a row end is given up."""

MAX_QUARANTINES = 8
"""A session with more skipped steps than this is given up."""

SNAPSHOT_EVERY = 64
"""Commands between two snapshots of a shard: the bound of what a replay repeats."""
