"""What the dashboard can be told."""

from pathlib import Path

from pydantic import Field

from websim.service.settings import ServiceSettings, SettingsConfigDict


class DashboardSettings(ServiceSettings):
    """Flags and WEBSIM_DASHBOARD_* variables of the dashboard."""

    model_config = SettingsConfigDict(env_prefix="WEBSIM_DASHBOARD_")

    http_port: int = Field(8080, ge=0, le=65535)
    """Port of the page; 0 takes a free one."""
    learner: str = Field("http://127.0.0.1:8091", max_length=500)
    """HTTP of the learner."""
    orchestrator: str = Field("http://127.0.0.1:8092", max_length=500)
    """HTTP of the orchestrator."""
    telemetry: str = Field("tcp://127.0.0.1:5557", max_length=500)
    """Where the orchestrator tells what environments look like."""
    reward_gen: str | None = Field(None, max_length=500)
    """HTTP of reward-gen, whose gate judges what is typed; without it only the language does."""
    upstream_token_file: Path | None = None
    """Bearer tokens for learner, orchestrator and reward-gen (`websim keys`); --token-file when
    not given."""
    keys: Path | None = None
    """Directory of the fleet's key set, of which this takes a client's part."""
    history: Path = Path("runs/dashboard/history.sqlite")
    """Where the curves and the timeline are kept."""
    keep_days: float = Field(90.0, gt=0.0, le=36_500.0)
    """Runs of which nothing has been heard for longer are forgotten."""
    keep_points: int = Field(50_000, ge=1000, le=10_000_000)
    """Points of a run that are kept; beyond it every other one of the older half goes."""
