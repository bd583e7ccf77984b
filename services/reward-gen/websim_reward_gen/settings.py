"""What reward-gen can be told."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from websim.service.settings import ServiceSettings, SettingsConfigDict
from websim_reward_gen.bodies import ProviderName


class RewardGenSettings(ServiceSettings):
    """Flags and WEBSIM_REWARD_GEN_* variables of reward-gen; the key comes from elsewhere."""

    model_config = SettingsConfigDict(env_prefix="WEBSIM_REWARD_GEN_")

    http_port: int = Field(8090, ge=0, le=65535)
    """Port of the HTTP server; 0 takes a free one."""
    provider: ProviderName = "auto"
    """Who writes when a request does not say: claude, library, replay; auto is Claude where there
    is a key, else the library."""
    api_key_file: Path | None = None
    """File with the API key; without it ANTHROPIC_API_KEY holds it, or there is none."""
    base_url: str = Field("https://api.anthropic.com", max_length=500)
    """Address of the Messages API; ANTHROPIC_BASE_URL is not read."""
    model: str = Field("claude-opus-5-5", min_length=1, max_length=100)
    """Which Claude writes."""
    effort: Literal["low", "medium", "high", "xhigh", "max"] = "medium"
    """How much it thinks."""
    max_output_tokens: int = Field(16_000, ge=1024, le=64_000)
    """Tokens of one response at most, thinking included."""
    deadline_s: float = Field(180.0, ge=10.0, le=180.0)
    """Time that Claude has for one request, retries and the correction included; at most 180,
    since a learner waits 200 for an answer, the library's included."""
    attempt_timeout_s: float = Field(120.0, gt=0.0, le=3600.0)
    """Time for one attempt."""
    max_attempts: int = Field(3, ge=1, le=10)
    """Attempts for one question; only rate, overload, timeout and network failures are repeated."""
    input_usd_per_mtok: float | None = Field(None, ge=0.0, le=1e4)
    """Price of a million input tokens; that of the model's published price when not given."""
    output_usd_per_mtok: float | None = Field(None, ge=0.0, le=1e4)
    """Price of a million output tokens; that of the model's published price when not given."""
    usd_per_run: float = Field(2.0, ge=0.0, le=1e6)
    """Cap on what one run may spend."""
    usd_per_day: float = Field(5.0, ge=0.0, le=1e6)
    """Cap on what may be spent on one day (UTC)."""
    tokens_per_run: int = Field(1_000_000, ge=0)
    """Cap on the tokens of one run, input and output."""
    tokens_per_day: int = Field(3_000_000, ge=0)
    """Cap on the tokens of one day (UTC)."""
    ledger: Path = Path("runs/reward-gen/ledger.jsonl")
    """Where it is kept what attempts cost."""
    record: Path | None = None
    """Append what Claude answers to this file, for `--replay`."""
    replay: Path | None = None
    """Recording that the provider `replay` answers from."""
    max_concurrent: int = Field(4, ge=1, le=64)
    """Requests answered at the same time; more are turned away."""
