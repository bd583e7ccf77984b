"""A task's geometry as a JSON document, for pages that draw its environments.

Asked for once by who looks: what moves travels apart, as figures and poses.
"""

import base64
from typing import Any

import msgspec
import mujoco
import numpy.typing as npt

from websim_sim_worker.bones import geom_rgba
from websim_sim_worker.compilation import CompiledTask
from websim_sim_worker.selection import object_name

_SHAPES = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): "plane",
    int(mujoco.mjtGeom.mjGEOM_HFIELD): "hfield",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): "ellipsoid",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
    int(mujoco.mjtGeom.mjGEOM_MESH): "mesh",
}


def scene_json(task: CompiledTask) -> bytes:
    """Describe a task's figure and geoms; docs/protocol.md says what is in it."""
    model, figure = task.model, task.figure
    drawn = task.info.figure
    assert drawn is not None, "every task that is compiled here has a figure"
    meshes, hfields = _used(model, "mesh"), _used(model, "hfield")
    document = {
        "task": task.info.id,
        "content_sha256": task.info.content_sha256,
        **msgspec.structs.asdict(drawn),
        "point_names": figure.names,
        "extent_m": figure.extent_m,
        "geoms": [_geom(model, geom, meshes, hfields) for geom in range(model.ngeom)],
        "meshes": [_mesh(model, mesh) for mesh in meshes],
        "hfields": [_hfield(model, hfield) for hfield in hfields],
    }
    return msgspec.json.encode(document)


def _used(model: mujoco.MjModel, shape: str) -> list[int]:
    """Ids of the meshes or height fields that geoms show, ascending."""
    of_shape = [geom for geom in range(model.ngeom) if _shape(model, geom) == shape]
    return sorted({int(model.geom_dataid[geom]) for geom in of_shape})


def _shape(model: mujoco.MjModel, geom: int) -> str:
    # A signed distance field has a mesh, by which it is shown.
    return _SHAPES.get(int(model.geom_type[geom]), "mesh")


def _geom(
    model: mujoco.MjModel, geom: int, meshes: list[int], hfields: list[int]
) -> dict[str, Any]:
    shape = _shape(model, geom)
    asset = int(model.geom_dataid[geom])
    return {
        "name": object_name(model, "geom", geom),
        "type": shape,
        "size": model.geom_size[geom].tolist(),
        "rgba": [round(float(value), 4) for value in geom_rgba(model, geom)],
        "mesh": meshes.index(asset) if shape == "mesh" else None,
        "hfield": hfields.index(asset) if shape == "hfield" else None,
        "body": object_name(model, "body", int(model.geom_bodyid[geom])),
        "group": int(model.geom_group[geom]),
    }


def _mesh(model: mujoco.MjModel, mesh: int) -> dict[str, str]:
    first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    face, faces = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
    return {
        "vertices": _base64(model.mesh_vert[first : first + count].astype("<f4")),
        "faces": _base64(model.mesh_face[face : face + faces].astype("<u4")),
    }


def _hfield(model: mujoco.MjModel, hfield: int) -> dict[str, Any]:
    rows, columns = int(model.hfield_nrow[hfield]), int(model.hfield_ncol[hfield])
    first = int(model.hfield_adr[hfield])
    return {
        "rows": rows,
        "columns": columns,
        "size_m": model.hfield_size[hfield].tolist(),
        "heights": _base64(model.hfield_data[first : first + rows * columns].astype("<f4")),
    }


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()
