// MuJoCo's geoms as three.js meshes, from the scene that the service tells.

import {
  BoxGeometry,
  BufferAttribute,
  BufferGeometry,
  CapsuleGeometry,
  Color,
  CylinderGeometry,
  Mesh,
  MeshStandardMaterial,
  SphereGeometry,
  Vector3,
} from "three";

import type { Geom, Scene } from "../generated/messages";

/** Groups from here on are not drawn, as in MuJoCo's own viewer. */
const HIDDEN_GROUP = 3;
const SEGMENTS = 24;
/** Faces that meet at less than this, radians, are one curved surface; at more, it is an edge. */
const CREASE = Math.PI / 5;

/** The mesh of a geom; null for what is drawn otherwise (planes) or not at all. */
export function meshOf(geom: Geom, scene: Scene): Mesh | null {
  if (geom.group >= HIDDEN_GROUP || geom.type === "plane") return null;
  const geometry = geometryOf(geom, scene);
  if (geometry === null) return null;
  const [red = 0.5, green = 0.5, blue = 0.5, alpha = 1] = geom.rgba;
  if (alpha === 0) return null;
  const material = new MeshStandardMaterial({
    color: new Color(red, green, blue).convertSRGBToLinear(),
    roughness: 0.55,
    metalness: 0.05,
    transparent: alpha < 1,
    opacity: alpha,
  });
  const mesh = new Mesh(geometry, material);
  mesh.name = geom.name;
  return mesh;
}

function geometryOf(geom: Geom, scene: Scene): BufferGeometry | null {
  const [a = 0, b = 0, c = 0] = geom.size;
  switch (geom.type) {
    case "sphere":
      return new SphereGeometry(a, SEGMENTS, SEGMENTS / 2);
    case "ellipsoid":
      return new SphereGeometry(1, SEGMENTS, SEGMENTS / 2).scale(a, b, c);
    // three.js has these along y, MuJoCo along z; MuJoCo tells half lengths.
    case "capsule":
      return new CapsuleGeometry(a, 2 * b, SEGMENTS / 3, SEGMENTS).rotateX(Math.PI / 2);
    case "cylinder":
      return new CylinderGeometry(a, a, 2 * b, SEGMENTS).rotateX(Math.PI / 2);
    case "box":
      return new BoxGeometry(2 * a, 2 * b, 2 * c);
    case "mesh":
      return triangles(scene, geom.mesh);
    case "hfield":
      return heightField(scene, geom.hfield);
    case "plane":
      return null;
  }
}

function triangles(scene: Scene, index: number | null): BufferGeometry | null {
  const mesh = index === null ? undefined : scene.meshes[index];
  if (mesh === undefined) return null;
  return creased(new Float32Array(bytesOf(mesh.vertices)), new Uint32Array(bytesOf(mesh.faces)));
}

/** Corners of their own for every face: curved surfaces are shaded smoothly, edges stay edges. */
function creased(vertices: Float32Array, faces: Uint32Array): BufferGeometry {
  const positions = new Float32Array(3 * faces.length);
  faces.forEach((vertex, corner) => positions.set(vertices.subarray(3 * vertex, 3 * vertex + 3), 3 * corner));
  const corners: number[][] = Array.from({ length: vertices.length / 3 }, () => []);
  faces.forEach((vertex, corner) => corners[vertex]!.push(corner));
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(positions, 3));
  // Of corners that are no one else's: the faces' own.
  geometry.computeVertexNormals();
  const flat = geometry.getAttribute("normal").array;
  const normals = new Float32Array(flat.length);
  const [own, other, sum] = [new Vector3(), new Vector3(), new Vector3()];
  faces.forEach((vertex, corner) => {
    own.fromArray(flat, 3 * corner);
    sum.set(0, 0, 0);
    for (const each of corners[vertex]!) {
      other.fromArray(flat, 3 * each);
      if (own.dot(other) > Math.cos(CREASE)) sum.add(other);
    }
    // A face without area has no direction.
    sum.normalize().toArray(normals, 3 * corner);
  });
  geometry.setAttribute("normal", new BufferAttribute(normals, 3));
  return geometry;
}

function heightField(scene: Scene, index: number | null): BufferGeometry | null {
  const field = index === null ? undefined : scene.hfields[index];
  if (field === undefined) return null;
  const { rows: nrow, columns: ncol, size_m: [halfX = 1, halfY = 1, elevation = 1] } = field;
  const heights = new Float32Array(bytesOf(field.heights));
  const positions = new Float32Array(nrow * ncol * 3);
  const faces: number[] = [];
  for (let row = 0; row < nrow; row++) {
    for (let column = 0; column < ncol; column++) {
      const at = row * ncol + column;
      positions[3 * at] = halfX * ((2 * column) / (ncol - 1) - 1);
      positions[3 * at + 1] = halfY * ((2 * row) / (nrow - 1) - 1);
      positions[3 * at + 2] = elevation * heights[at]!;
      if (row + 1 < nrow && column + 1 < ncol) {
        faces.push(at, at + 1, at + ncol, at + 1, at + ncol + 1, at + ncol);
      }
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(positions, 3));
  geometry.setIndex(faces);
  geometry.computeVertexNormals();
  return geometry;
}

function bytesOf(base64: string): ArrayBuffer {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}
