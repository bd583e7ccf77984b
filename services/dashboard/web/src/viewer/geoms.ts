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
} from "three";

import type { Geom, Scene } from "../generated/messages";

/** Groups from here on are not drawn, as in MuJoCo's own viewer. */
const HIDDEN_GROUP = 3;
const SEGMENTS = 24;

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
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(bytesOf(mesh.vertices)), 3));
  geometry.setIndex(new BufferAttribute(new Uint32Array(bytesOf(mesh.faces)), 1));
  geometry.computeVertexNormals();
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
