"""What an orchestrator can be told."""

from pathlib import Path

from pydantic import Field

from websim.service.settings import ServiceSettings, SettingsConfigDict


class OrchestratorSettings(ServiceSettings):
    """Flags and WEBSIM_ORCHESTRATOR_* variables of the orchestrator."""

    model_config = SettingsConfigDict(env_prefix="WEBSIM_ORCHESTRATOR_")

    host: str = "127.0.0.1"
    """Address for workers and clients; beyond loopback it takes --keys."""
    worker_port: int = Field(5555, ge=0, le=65535)
    """Port for sim workers; 0 takes a free one."""
    client_port: int = Field(5556, ge=0, le=65535)
    """Port for learners and notebooks; 0 takes a free one."""
    telemetry_port: int = Field(5557, ge=0, le=65535)
    """Port for those who show environments, such as the dashboard; 0 takes a free one."""
    http_port: int = Field(8092, ge=0, le=65535)
    """Port of the HTTP server; 0 takes a free one."""
    keys: Path | None = None
    """Directory with this side's part of a key set (`websim keys`): workers and clients then need
    keys, and the wire is encrypted."""
