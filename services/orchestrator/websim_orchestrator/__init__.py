"""The orchestrator: owns the fleet, places shards, routes between clients and workers."""
