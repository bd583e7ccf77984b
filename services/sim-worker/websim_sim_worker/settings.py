"""What a sim worker can be told."""

from pathlib import Path

from pydantic import Field

from websim.service.settings import ServiceSettings, SettingsConfigDict


class WorkerSettings(ServiceSettings):
    """Flags and WEBSIM_SIM_WORKER_* variables of the sim worker."""

    model_config = SettingsConfigDict(env_prefix="WEBSIM_SIM_WORKER_")

    orchestrator: str = "tcp://127.0.0.1:5555"
    """Where the orchestrator listens for workers."""
    nthread: int = Field(1, ge=1, le=1024)
    """Threads that step a shard; one process per core with one thread each is the fastest."""
    connect_deadline_s: float = Field(30.0, gt=0)
    """Give up when no orchestrator answers within this time."""
    keys: Path | None = None
    """Directory with server.key and worker.key_secret of a key set (`websim keys`), where the
    orchestrator wants keys."""
