// One environment in 3D. This module brings three.js with it and is loaded when it is needed.

import {
  BufferGeometry,
  Color,
  DirectionalLight,
  DynamicDrawUsage,
  Float32BufferAttribute,
  HemisphereLight,
  InstancedMesh,
  LineBasicMaterial,
  Line,
  LineSegments,
  Matrix4,
  Mesh,
  MeshBasicMaterial,
  Object3D,
  PerspectiveCamera,
  PlaneGeometry,
  Quaternion,
  Scene as World,
  SphereGeometry,
  Spherical,
  Vector3,
  WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

import type { Scene } from "../generated/messages";
import type { PoseFrame } from "../live/frames";
import { meshOf } from "./geoms";

const MAX_CONTACTS = 64;
/** Side of the ground that travels with the camera, metres. */
const GROUND_M = 60;
/** The camera goes up and down with the robot by and by: what hops is seen to hop. Time constant, ms. */
const RISE_MS = 400;
const MAX_PIXEL_RATIO = 2;
const SUN = new Vector3(2, -2.5, 8);
/** Spherical coordinates have y upwards, the world has z. */
const UPRIGHT = new Quaternion().setFromUnitVectors(new Vector3(0, 0, 1), new Vector3(0, 1, 0));

export interface Colours {
  background: string;
  ground: string;
  grid: string;
  contact: string;
  shadow: string;
}

export class Viewer {
  follow = true;
  contacts = true;

  private readonly renderer: WebGLRenderer;
  private readonly world = new World();
  private readonly camera = new PerspectiveCamera(40, 1, 0.01, 300);
  private readonly controls: OrbitControls;
  private readonly meshes: (Mesh | null)[];
  /** Indexes of geoms that are the robot rather than the world. */
  private readonly moving: number[];
  private readonly ground = new Object3D();
  /** Materials whose colour the page's theme decides. */
  private readonly paints = {
    ground: new MeshBasicMaterial(),
    grid: new LineBasicMaterial({ transparent: true, opacity: 0.45 }),
    contact: new MeshBasicMaterial(),
    shadow: new MeshBasicMaterial(),
  };
  private readonly groundM: number;
  private readonly shadows: { mesh: Mesh; shadow: Mesh }[] = [];
  /** Takes the world along the sun's rays to the ground. */
  private readonly flatten = new Matrix4();
  private readonly spots: InstancedMesh;
  private readonly middle = new Vector3();
  private animation = 0;
  private dirty = true;
  /** When the pose was made that the camera last went along with; null before the first. */
  private followedMs: number | null = null;
  private readonly extentM: number;

  /** Throws where the browser gives no WebGL. */
  constructor(canvas: HTMLCanvasElement, scene: Scene, colours: Colours) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true });
    this.renderer.setPixelRatio(Math.min(MAX_PIXEL_RATIO, window.devicePixelRatio || 1));
    this.extentM = Math.min(20, Math.max(0.3, scene.extent_m));
    this.groundM = scene.ground_z_m ?? 0;
    this.recolour(colours);
    this.camera.up.set(0, 0, 1);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = false;
    this.controls.maxDistance = 40 * this.extentM;
    this.controls.minDistance = 0.2 * this.extentM;
    this.controls.addEventListener("change", () => (this.dirty = true));
    this.light();
    this.meshes = scene.geoms.map((geom) => meshOf(geom, scene));
    for (const mesh of this.meshes) if (mesh !== null) this.world.add(mesh);
    this.moving = scene.geoms.flatMap((geom, i) => (this.meshes[i] !== null && geom.body !== "world" ? [i] : []));
    if (scene.geoms.some((geom) => geom.type === "plane")) {
      this.layGround();
      this.castShadows();
    }
    this.spots = this.makeSpots();
    this.animation = requestAnimationFrame(this.tick);
  }

  /** The page's theme has changed; the robot's colours are the model's. */
  recolour(colours: Colours): void {
    this.world.background = new Color(colours.background);
    this.paints.ground.color.set(colours.ground);
    this.paints.grid.color.set(colours.grid);
    this.paints.contact.color.set(colours.contact);
    this.paints.shadow.color.set(colours.shadow);
    this.dirty = true;
  }

  resize(width: number, height: number): void {
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / Math.max(1, height);
    this.camera.updateProjectionMatrix();
    this.dirty = true;
  }

  pose(frame: PoseFrame): void {
    const { position, quaternion } = frame;
    for (let i = 0; i < Math.min(frame.numGeoms, this.meshes.length); i++) {
      const mesh = this.meshes[i];
      if (mesh === null || mesh === undefined) continue;
      mesh.position.set(position[3 * i]!, position[3 * i + 1]!, position[3 * i + 2]!);
      mesh.quaternion.set(quaternion[4 * i + 1]!, quaternion[4 * i + 2]!, quaternion[4 * i + 3]!, quaternion[4 * i]!);
    }
    for (const { mesh, shadow } of this.shadows) {
      mesh.updateMatrix();
      shadow.matrix.multiplyMatrices(this.flatten, mesh.matrix);
    }
    this.showContacts(frame.contacts);
    this.goAlong(frame.timeMs);
    this.dirty = true;
  }

  /** Takes the camera around the robot: to the right and upwards, radians. */
  turn(right: number, up: number): void {
    const place = new Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target).applyQuaternion(UPRIGHT));
    place.theta += right;
    place.phi -= up;
    this.stand(place);
  }

  /** Brings the camera to this part of its distance from the robot. */
  comeNearer(part: number): void {
    const place = new Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target).applyQuaternion(UPRIGHT));
    place.radius = Math.min(this.controls.maxDistance, Math.max(this.controls.minDistance, place.radius * part));
    this.stand(place);
  }

  private stand(place: Spherical): void {
    const from = new Vector3().setFromSpherical(place.makeSafe()).applyQuaternion(UPRIGHT.clone().invert());
    this.camera.position.copy(this.controls.target).add(from);
    this.controls.update();
    this.dirty = true;
  }

  /** Gives the graphics context and everything in it back. */
  dispose(): void {
    cancelAnimationFrame(this.animation);
    this.controls.dispose();
    this.world.traverse((object) => {
      if (object instanceof Mesh || object instanceof Line) {
        (object.geometry as BufferGeometry).dispose();
        for (const material of [object.material].flat()) material.dispose();
      }
    });
    for (const paint of Object.values(this.paints)) paint.dispose();
    this.spots.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }

  private readonly tick = (): void => {
    this.animation = requestAnimationFrame(this.tick);
    if (!this.dirty) return;
    this.dirty = false;
    this.renderer.render(this.world, this.camera);
  };

  private light(): void {
    this.world.add(new HemisphereLight(0xffffff, 0x556070, 1.6));
    const sun = new DirectionalLight(0xffffff, 2.2);
    sun.position.copy(SUN);
    this.world.add(sun);
  }

  private layGround(): void {
    const plane = new Mesh(new PlaneGeometry(GROUND_M, GROUND_M), this.paints.ground);
    plane.position.z = -0.002;
    this.ground.add(plane, new LineSegments(metreLines(), this.paints.grid));
    this.world.add(this.ground);
  }

  /** Flat copies of the robot on the ground: they cost little and say how high it is. */
  private castShadows(): void {
    for (const i of this.moving) {
      const mesh = this.meshes[i]!;
      const shadow = new Mesh(mesh.geometry, this.paints.shadow);
      shadow.matrixAutoUpdate = false;
      shadow.frustumCulled = false;
      this.shadows.push({ mesh, shadow });
      this.world.add(shadow);
    }
    const [x, y, z] = [SUN.x / SUN.z, SUN.y / SUN.z, this.groundM + 0.001];
    this.flatten.set(1, 0, -x, 0, 0, 1, -y, 0, 0, 0, 0, z, 0, 0, 0, 1);
  }

  private makeSpots(): InstancedMesh {
    const spots = new InstancedMesh(new SphereGeometry(1, 12, 8), this.paints.contact, MAX_CONTACTS);
    spots.instanceMatrix.setUsage(DynamicDrawUsage);
    spots.frustumCulled = false;
    spots.count = 0;
    this.world.add(spots);
    return spots;
  }

  private showContacts(contacts: Float32Array): void {
    const count = this.contacts ? Math.min(MAX_CONTACTS, contacts.length / 4) : 0;
    const matrix = new Matrix4();
    const turn = new Quaternion();
    for (let i = 0; i < count; i++) {
      const force = Math.max(0, contacts[4 * i + 3]!);
      // Larger where it presses harder, within reason.
      const radius = this.extentM * (0.012 + 0.006 * Math.log10(1 + force));
      const at = new Vector3(contacts[4 * i]!, contacts[4 * i + 1]!, contacts[4 * i + 2]!);
      this.spots.setMatrixAt(i, matrix.compose(at, turn, new Vector3(radius, radius, radius)));
    }
    this.spots.count = count;
    this.spots.instanceMatrix.needsUpdate = true;
  }

  /** Keeps the robot in the middle at any rate of pictures: along the ground it is never left behind. */
  private goAlong(timeMs: number): void {
    if (this.moving.length === 0) return;
    this.middle.set(0, 0, 0);
    for (const i of this.moving) this.middle.add(this.meshes[i]!.position);
    this.middle.divideScalar(this.moving.length);
    if (this.followedMs === null) {
      const distance = 2.1 * this.extentM;
      this.controls.target.copy(this.middle);
      this.camera.position.copy(this.middle).add(new Vector3(0.35, -1, 0.38).normalize().multiplyScalar(distance));
      this.controls.update();
    } else if (this.follow) {
      const step = this.middle.clone().sub(this.controls.target);
      // An episode that ends puts the robot elsewhere: jump with it.
      if (step.length() < 2 * this.extentM) step.z *= 1 - Math.exp(Math.min(0, this.followedMs - timeMs) / RISE_MS);
      this.controls.target.add(step);
      this.camera.position.add(step);
      this.controls.update();
    }
    this.followedMs = timeMs;
    const { x, y } = this.controls.target;
    this.ground.position.set(Math.round(x), Math.round(y), this.groundM);
  }
}

/** Lines a metre apart in pieces a metre long: of a line that goes on behind the camera, renderers without a GPU draw nothing. */
function metreLines(): BufferGeometry {
  const half = GROUND_M / 2;
  const ends: number[] = [];
  for (let across = -half; across <= half; across++) {
    for (let along = -half; along < half; along++) {
      ends.push(across, along, 0, across, along + 1, 0, along, across, 0, along + 1, across, 0);
    }
  }
  return new BufferGeometry().setAttribute("position", new Float32BufferAttribute(ends, 3));
}
