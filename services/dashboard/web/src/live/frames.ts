// Decodes the WebSocket's binary frames (docs/dashboard.md describes them byte by byte).

import { HEADER_BYTES, KIND_FIGURES, KIND_POSE, MAGIC, VERSION } from "../generated/messages";

/** All environments of a session, as figures in a plane. */
export interface FiguresFrame {
  kind: "figures";
  seq: number;
  /** Unix time at which the service made it. */
  timeMs: number;
  session: number;
  /** Environments. */
  n: number;
  /** Points of a figure. */
  k: number;
  /** Metres per unit of `points`. */
  scaleM: number;
  /** Where each figure is along the ground, metres. Length n. */
  rootX: Float32Array;
  episodeReturn: Float32Array;
  episodeLength: Uint32Array;
  /** x and y of each point relative to the figure's root, in units of scaleM. Length n * k * 2. */
  points: Int16Array;
  /** How each environment's last episode ended: see OUTCOMES. */
  outcome: Uint8Array;
}

/** Some neighbours among the environments of a session, or all of them: arrays are of `count`. */
export interface FiguresPart extends FiguresFrame {
  /** The first one's number. */
  first: number;
  count: number;
}

/** Where the geoms of one environment are. */
export interface PoseFrame {
  kind: "pose";
  seq: number;
  timeMs: number;
  session: number;
  envId: number;
  numGeoms: number;
  /** Metres. Length 3 * numGeoms. */
  position: Float32Array;
  /** w, x, y, z. Length 4 * numGeoms. */
  quaternion: Float32Array;
  /** x, y, z in metres and the normal force in N. Length 4 * number of contacts. */
  contacts: Float32Array;
}

export type Frame = FiguresPart | PoseFrame;

/** The service speaks otherwise than this page: it was upgraded while the page was open. */
export class OtherVersion extends Error {}

/** Returns the frame; throws an Error that says what is wrong with it. */
export function decodeFrame(buffer: ArrayBuffer): Frame {
  if (buffer.byteLength < HEADER_BYTES) throw new Error("a frame is shorter than its header");
  const header = new DataView(buffer, 0, HEADER_BYTES);
  if (header.getUint8(0) !== MAGIC) throw new Error("a frame does not begin as frames do");
  const version = header.getUint8(1);
  if (version !== VERSION) throw new OtherVersion(`frames of version ${version} are not known here`);
  const kind = header.getUint8(2);
  const seq = header.getUint32(4, true);
  const timeMs = header.getFloat64(8, true);
  const session = header.getUint32(16, true);
  const n = header.getUint32(20, true);
  const k = header.getUint16(24, true);
  const c = header.getUint16(26, true);
  if (kind === KIND_FIGURES) {
    const first = header.getUint32(32, true);
    const count = header.getUint32(36, true);
    if (first + count > n) throw new Error(`a frame ends at environment ${first + count} of ${n}`);
    expectBytes(buffer, count * (4 + 4 + 4 + k * 4 + 1));
    let offset = HEADER_BYTES;
    const rootX = new Float32Array(buffer, offset, count);
    const episodeReturn = new Float32Array(buffer, (offset += 4 * count), count);
    const episodeLength = new Uint32Array(buffer, (offset += 4 * count), count);
    const points = new Int16Array(buffer, (offset += 4 * count), count * k * 2);
    const outcome = new Uint8Array(buffer, (offset += 4 * count * k), count);
    const scaleM = header.getFloat32(28, true);
    const columns = { rootX, episodeReturn, episodeLength, points, outcome };
    return { kind: "figures", seq, timeMs, session, n, k, scaleM, first, count, ...columns };
  }
  if (kind === KIND_POSE) {
    expectBytes(buffer, k * 28 + c * 16);
    const position = new Float32Array(buffer, HEADER_BYTES, 3 * k);
    const quaternion = new Float32Array(buffer, HEADER_BYTES + 12 * k, 4 * k);
    const contacts = new Float32Array(buffer, HEADER_BYTES + 28 * k, 4 * c);
    return { kind: "pose", seq, timeMs, session, envId: n, numGeoms: k, position, quaternion, contacts };
  }
  throw new Error(`a frame of unknown kind ${kind}`);
}

/** All environments, as a part shows its own and the picture before the others. */
export function joined(before: FiguresFrame | undefined, part: FiguresPart): FiguresFrame {
  const { first, count, ...rest } = part;
  const { n, k } = part;
  if (count === n) return part;
  const known = before !== undefined && before.n === n && before.k === k && before.scaleM === part.scaleM;
  const rootX = known ? before.rootX.slice() : new Float32Array(n).fill(NaN);
  const episodeReturn = known ? before.episodeReturn.slice() : new Float32Array(n);
  const episodeLength = known ? before.episodeLength.slice() : new Uint32Array(n);
  const points = known ? before.points.slice() : new Int16Array(n * k * 2);
  const outcome = known ? before.outcome.slice() : new Uint8Array(n);
  rootX.set(part.rootX, first);
  episodeReturn.set(part.episodeReturn, first);
  episodeLength.set(part.episodeLength, first);
  points.set(part.points, first * k * 2);
  outcome.set(part.outcome, first);
  return { ...rest, rootX, episodeReturn, episodeLength, points, outcome };
}

function expectBytes(buffer: ArrayBuffer, body: number): void {
  if (buffer.byteLength !== HEADER_BYTES + body) {
    throw new Error(`a frame has ${buffer.byteLength} bytes instead of ${HEADER_BYTES + body}`);
  }
}

/** How an environment's last episode ended, in the order of the frame's numbers. */
export const OUTCOMES = [
  { name: "none yet", glyph: "·" },
  { name: "terminated", glyph: "✕" },
  { name: "truncated", glyph: "◷" },
  { name: "success", glyph: "✓" },
  { name: "invalid", glyph: "!" },
] as const;
