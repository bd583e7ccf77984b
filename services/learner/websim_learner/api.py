"""The learner's HTTP: how the run stands, commands to it, and the stream of its records."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Body, FastAPI, HTTPException, Path, Query, Response

from websim.service.errors import UserError
from websim_learner.adaptation.shelf import Clips
from websim_learner.adaptation.view import AdaptationView, GoalView, ReplayView, RewardsView
from websim_learner.control import (
    Applied,
    Command,
    Control,
    RunOver,
    TakesEffectLater,
    TooManyCommands,
)
from websim_learner.records import AnyRecord, EventStream
from websim_learner.status import RunStatus

COMMAND_DEADLINE_S = 60.0
"""How long a command's sender waits for the update under way to end."""

MAX_EVENTS = 1000
"""Records in one answer at most."""


def add_run_routes(
    app: FastAPI,
    status: Callable[[], RunStatus],
    control: Control,
    stream: EventStream,
) -> None:
    """Add `/v1/run`, `/v1/run/commands` and `/v1/events`.

    Args:
        app: the learner's application.
        status: returns how the run stands; called in HTTP threads.
        control: takes commands.
        stream: holds the records.
    """
    events_schema = {"type": "array", "items": _describe(app, AnyRecord)}

    @app.get("/v1/run", tags=["run"])
    def get_run() -> RunStatus:
        """Answer how the run stands."""
        return status()

    @app.post("/v1/run/commands", tags=["run"])
    def post_command(command: Annotated[Command, Body()]) -> Applied:
        """Apply a command when the update under way has ended; answer when it has taken effect."""
        try:
            return control.submit(command, COMMAND_DEADLINE_S)
        except TakesEffectLater as why:
            raise HTTPException(504, str(why)) from None
        except UserError as error:
            raise HTTPException(422, str(error)) from None
        except RunOver:
            raise HTTPException(409, "the run is over and takes no commands") from None
        except TooManyCommands:
            raise HTTPException(503, "too many commands are waiting; send it again") from None
        except TimeoutError:
            raise HTTPException(
                504, "the update under way has not ended; the command is applied when it has"
            ) from None

    @app.get(
        "/v1/events",
        tags=["run"],
        response_class=Response,
        responses={200: {"content": {"application/json": {"schema": events_schema}}}},
    )
    def get_events(
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = MAX_EVENTS,
        reader: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        """Answer the oldest records beyond number `after` that are still kept.

        Ask again with the number of the last one to go on; an empty list means that there is
        nothing new. Numbers grow over the whole life of a run, restarts included. A reader that
        gives itself a name is waited for a moment when the run is over.
        """
        if reader:
            stream.note_reader(reader, after)
        records = stream.after(after, limit)
        return Response(msgspec.json.encode(records), media_type="application/json")


def add_adaptation_routes(app: FastAPI, adaptation: AdaptationView) -> None:
    """Add `/v1/rewards`, `/v1/goal`, `/v1/adaptations`, their replay, and clips of trials."""
    clips_schema = _describe(app, Clips)

    @app.get("/v1/rewards", tags=["adaptation"])
    def get_rewards() -> RewardsView:
        """Answer the rewards of the run and what became of each."""
        return adaptation.rewards()

    @app.get("/v1/goal", tags=["adaptation"])
    def get_goal() -> GoalView:
        """Answer what the run is for, what is going on, and what waits for a yes."""
        return adaptation.goal()

    @app.get("/v1/adaptations", tags=["adaptation"])
    def get_adaptations(
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = MAX_EVENTS,
    ) -> list[dict[str, Any]]:
        """Answer the rows of the log of adaptations beyond number `after`."""
        return adaptation.rows(after, limit)

    @app.get("/v1/adaptations/replay", tags=["adaptation"])
    def get_replay() -> ReplayView:
        """Make every decision of the run again from its log alone; answer how they compare.

        It takes up to half a minute; 503 while another one is under way.
        """
        try:
            return adaptation.replay()
        except BlockingIOError:
            raise HTTPException(503, "decisions are being checked already; ask again") from None

    @app.get(
        "/v1/adaptations/{number}/clips",
        tags=["adaptation"],
        response_class=Response,
        responses={200: {"content": {"application/json": {"schema": clips_schema}}}},
    )
    def get_clips(number: Annotated[int, Path(ge=1)]) -> Response:
        """Answer what the contenders that were left at the end of an adaptation's trial look like.

        `clips` is empty where there are none: the trial has not ended, or is one of the older ones.
        """
        return Response(adaptation.clips(number), media_type="application/json")


def _describe(app: FastAPI, kind: Any) -> Any:  # noqa: ANN401 - a type; its JSON schema
    """Add what msgspec encodes to the document of an application; return the schema of it."""
    (schema,), components = msgspec.json.schema_components(
        [kind], ref_template="#/components/schemas/{name}"
    )
    describe = app.openapi

    def describe_it_too() -> dict[str, Any]:
        document = describe()
        document.setdefault("components", {}).setdefault("schemas", {}).update(components)
        return document

    app.openapi = describe_it_too  # type: ignore[method-assign]
    return schema
