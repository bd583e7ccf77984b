"""The sim worker: compiles tasks, steps shards of environments, ships their snapshots."""
