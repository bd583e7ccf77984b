"""Structured logs: one event with named values per line, for people on stderr, as JSON in files."""

import logging
import logging.handlers
import sys
from pathlib import Path

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_ids: dict[str, object] = {}
"""What every line of this process is about, beside what it says itself."""

MAX_LOG_FILE_BYTES = 64 * 1024 * 1024
"""A log file is set aside (one predecessor is kept) when it grows beyond this."""


def configure_logs(service: str, *, json: bool = False, file: Path | None = None) -> None:
    """Set up logging for the process; what third-party libraries log passes through too.

    Args:
        service: Name of the service, added to each line as `service`.
        json: Whether lines on stderr are JSON rather than text for people.
        file: Append all lines to this file, as JSON; stderr then gets warnings and errors only.
            Its directory is created.
    """

    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        for name, value in _ids.items():
            event.setdefault(name, value)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    as_json = _formatter(
        shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()
    )
    as_text = _formatter(shared, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(as_json if json else as_text)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(
            logging.handlers.RotatingFileHandler(
                file, maxBytes=MAX_LOG_FILE_BYTES, backupCount=1, encoding="utf-8"
            )
        )
        handlers[1].setFormatter(as_json)
        handlers[0].setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


def bind_log_ids(**ids: object) -> None:
    """Put ids, as in `run="first"`, on every further line of all threads; None takes one off."""
    for name, value in ids.items():
        if value is None:
            _ids.pop(name, None)
        else:
            _ids[name] = value


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger: `log.info("worker_lost", worker_id=3)`; the name is the module's."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _formatter(shared: list[Processor], *last: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
