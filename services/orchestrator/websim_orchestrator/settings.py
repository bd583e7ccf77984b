"""What an orchestrator can be told."""

from pydantic import Field

from websim.service.settings import ServiceSettings, SettingsConfigDict


class OrchestratorSettings(ServiceSettings):
    """Flags and WEBSIM_ORCHESTRATOR_* variables of the orchestrator."""

    model_config = SettingsConfigDict(env_prefix="WEBSIM_ORCHESTRATOR_")

    host: str = "127.0.0.1"
    """Address for workers and clients; loopback only until keys are in place."""
    worker_port: int = Field(5555, ge=0, le=65535)
    """Port for sim workers; 0 takes a free one."""
    client_port: int = Field(5556, ge=0, le=65535)
    """Port for learners and notebooks; 0 takes a free one."""
    http_port: int = Field(8092, ge=0, le=65535)
    """Port of the HTTP server; 0 takes a free one."""
