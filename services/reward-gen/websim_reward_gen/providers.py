"""Which providers there are, by the settings and the key."""

from urllib.parse import urlsplit

from pydantic import SecretStr

from websim.service.errors import UserError
from websim.service.hosts import is_loopback
from websim_reward_gen.counts import Counts
from websim_reward_gen.ledger import Ledger
from websim_reward_gen.library.provider import LibraryProvider
from websim_reward_gen.prices import PRICES, Price, make_price
from websim_reward_gen.proposal import Provider
from websim_reward_gen.replay import RecordingProvider, ReplayProvider
from websim_reward_gen.settings import RewardGenSettings


def make_providers(
    settings: RewardGenSettings, key: SecretStr | None, ledger: Ledger, counts: Counts
) -> tuple[dict[str, Provider], str]:
    """Return the providers by name, and the default one's name.

    Raises:
        UserError: the default provider lacks its key or its file, a file cannot be used, or the
            model has no price.
    """
    providers: dict[str, Provider] = {"library": LibraryProvider()}
    if key is not None and settings.provider in ("auto", "claude"):
        claude = _claude(settings, key, ledger)
        providers["claude"] = (
            RecordingProvider(claude, settings.record, counts) if settings.record else claude
        )
    if settings.replay is not None:
        providers["replay"] = ReplayProvider(settings.replay)
    default = settings.provider
    if default == "auto":
        default = "claude" if "claude" in providers else "library"
    if default == "claude" and "claude" not in providers:
        raise UserError(
            "--provider claude needs an API key",
            "Set ANTHROPIC_API_KEY or --api-key-file, or take --provider library.",
        )
    if default == "replay" and "replay" not in providers:
        raise UserError("--provider replay needs a recording", "Name it with --replay.")
    return providers, default


def _claude(settings: RewardGenSettings, key: SecretStr, ledger: Ledger) -> Provider:
    _require_private(settings.base_url)
    # Imported here: the SDK takes a second to load, for nothing where there is no key.
    from websim_reward_gen.claude.client import ClaudeClient
    from websim_reward_gen.claude.provider import ClaudeProvider

    return ClaudeProvider(ClaudeClient(settings, key, price_of(settings), ledger))


def _require_private(base_url: str) -> None:
    """Refuse to send a key where others can read it on its way, or with another secret."""
    if "@" in base_url:
        # Nothing of it is quoted: logs are no place for a password.
        raise UserError(
            "--base-url must hold no name and no password, nor any other @",
            "Name the gateway by its host alone.",
        )
    try:
        parts = urlsplit(base_url)
    except ValueError:
        raise UserError(f"--base-url {base_url} is no address", "Use https://HOST.") from None
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise UserError(
            f"--base-url {base_url} would carry the API key in the clear",
            "Use https, or http on loopback.",
        )


def price_of(settings: RewardGenSettings) -> Price:
    """Return what the model's tokens cost.

    Raises:
        UserError: nothing is known about it; without a price there is no budget.
    """
    given = settings.input_usd_per_mtok, settings.output_usd_per_mtok
    if given[0] is not None and given[1] is not None:
        return make_price(given[0], given[1])
    if given != (None, None):
        raise UserError("--input-usd-per-mtok and --output-usd-per-mtok belong together")
    if settings.model not in PRICES:
        raise UserError(
            f"the price of model {settings.model} is not known here",
            "Give --input-usd-per-mtok and --output-usd-per-mtok; known models: "
            f"{', '.join(PRICES)}.",
        )
    return PRICES[settings.model]
