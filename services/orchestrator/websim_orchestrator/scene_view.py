"""A task's geometry as the HTTP API gives it to pages: what a worker tells, checked."""

from typing import Literal

from fastapi import HTTPException
from pydantic import BaseModel, ValidationError

from websim.wire.codec import Envelope
from websim.wire.messages import Message, Scene


class GeomView(BaseModel):
    """A geom; its place travels in poses, at the same position."""

    name: str
    type: Literal["plane", "hfield", "sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh"]
    size: list[float]
    """MuJoCo's, m: radius, half-length, half-sizes, as the type has them."""
    rgba: list[float]
    mesh: int | None
    """Position in `meshes`."""
    hfield: int | None
    """Position in `hfields`."""
    body: str
    group: int
    """By MuJoCo's habit 0 to 2 are for the eye, and above for collisions."""


class MeshView(BaseModel):
    """A mesh in its geom's frame."""

    vertices: str
    """Base64 of float32 (vertices, 3), m."""
    faces: str
    """Base64 of uint32 (faces, 3), vertices counterclockwise from outside."""


class HfieldView(BaseModel):
    """A height field in its geom's frame."""

    rows: int
    columns: int
    size_m: list[float]
    """Half of x and of y, the height that 1 stands for, and the base's depth."""
    heights: str
    """Base64 of float32 (rows, columns), 0 to 1; rows along y, columns along x."""


class SceneView(BaseModel):
    """How a task's environments are drawn."""

    task: str
    content_sha256: str
    plane: Literal["xz", "xy", "yz"]
    """Axes of the figures' picture: right, up. Robots that move in all directions are drawn from
    the side and a little from above."""
    k: int
    """Points of a figure."""
    point_names: list[str]
    bones: list[tuple[int, int]]
    """Pairs of points to be joined; a pair of one point is a dot."""
    bone_radii_m: list[float]
    scale_m: float
    """Metres per unit of the points that travel."""
    extent_m: float
    """The larger of the picture's width and height."""
    view_m: tuple[float, float, float, float]
    """Left, bottom, right and top of a picture in which the figure can move."""
    ground_z_m: float | None
    """Height of the ground, or null where the task has no level plane."""
    stands_still: bool = False
    """Whether the figure stays where it is: the picture holds every pose, and hardly more."""
    geoms: list[GeomView]
    meshes: list[MeshView]
    hfields: list[HfieldView]


def view_scene(envelope: Envelope[Message]) -> SceneView:
    """Check what a worker tells of a scene.

    Raises:
        HTTPException: 502, it is not a scene.
    """
    document = envelope.array("json")
    if not isinstance(envelope.message, Scene) or document is None:
        raise HTTPException(502, "the worker answered something else")
    try:
        return SceneView.model_validate_json(document.tobytes())
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise HTTPException(502, f"the worker's scene is not as it should be: {why}") from None
