// How a session's figures are drawn in tiles: what a tile shows of the plane, and how thick bones are.

import type { Scene } from "../generated/messages";

/** Figures that go somewhere use more of a tile than the view that would hold every pose of theirs. */
const FILL = 1.2;
/** Where the ground is in a tile, of its height. */
const GROUND_AT = 0.88;
const ASPECTS = [0.75, 1.5] as const;
/** Bones are drawn in so many thicknesses at most: one call each per colour. */
const MAX_THICKNESSES = 4;
const THICK_FROM_PX = 36;

/** Bones of one thickness. */
export interface Limbs {
  /** Half the thickness, metres. */
  radiusM: number;
  /** As a figure's. */
  pairs: number[];
}

export interface Figure {
  /** Indexes of points, two for each bone; a bone of one point twice is a dot. */
  pairs: number[];
  /** The same bones by their thickness. */
  limbs: Limbs[];
  /** Left, bottom, right and top of what a tile shows, metres relative to the figure's root. */
  view: readonly [number, number, number, number];
  /** How much larger than in a tile that holds the view it is drawn. */
  fill: number;
  /** Height of the ground's line; null where the picture is taken from above or there is no ground. */
  groundM: number | null;
  /** Width over height of its tiles. */
  aspect: number;
}

/** What of a scene a figure is made of. */
export type Drawn = Pick<Scene, "plane" | "bones" | "bone_radii_m" | "view_m" | "ground_z_m" | "stands_still">;

export function figureOf(scene: Drawn): Figure {
  const pairs = scene.bones.flatMap(([a, b]) => [a ?? 0, b ?? a ?? 0]);
  const [left = -1, bottom = -1, right = 1, top = 1] = scene.view_m;
  return {
    pairs,
    limbs: byThickness(scene),
    view: [left, bottom, right, top],
    // The view of one that stands still has no more room than its poses take.
    fill: scene.stands_still ? 1 : FILL,
    aspect: Math.min(ASPECTS[1], Math.max(ASPECTS[0], (right - left) / (top - bottom))),
    groundM: scene.plane === "xy" ? null : scene.ground_z_m,
  };
}

/** Puts bones of about the same thickness together. */
function byThickness(scene: Drawn): Limbs[] {
  const sorted = scene.bones
    .map((bone, i) => ({ bone, radius: scene.bone_radii_m[i] ?? 0 }))
    .sort((a, b) => a.radius - b.radius);
  const size = Math.ceil(sorted.length / MAX_THICKNESSES);
  const groups: Limbs[] = [];
  for (let i = 0; i < sorted.length; i += size) {
    const group = sorted.slice(i, i + size);
    groups.push({
      radiusM: group.reduce((sum, each) => sum + each.radius, 0) / group.length,
      pairs: group.flatMap(({ bone: [a, b] }) => [a ?? 0, b ?? a ?? 0]),
    });
  }
  return groups;
}

/** How a figure lies in tiles of a size. */
export interface Fit {
  /** CSS pixels per metre. */
  scale: number;
  /** Where the figure's root (x) and height 0 are in a tile, CSS pixels from its left top. */
  x: number;
  y: number;
}

/** Whether tiles of a width, CSS pixels, are so small that all bones are lines of one width. */
export function isSmall(tileW: number): boolean {
  return tileW < THICK_FROM_PX;
}

export function fit(figure: Figure, tileW: number, tileH: number): Fit {
  const [left, bottom, right, top] = figure.view;
  const scale = figure.fill * Math.min(tileW / (right - left), tileH / (top - bottom));
  const middle = tileH / 2 + (scale * (bottom + top)) / 2;
  return {
    scale,
    x: tileW / 2 - (scale * (left + right)) / 2,
    y: isOnGround(figure) ? GROUND_AT * tileH + figure.groundM! * scale : middle,
  };
}

/** Whether the ground keeps its place near the lower edge: below one that goes somewhere, in its view. */
function isOnGround({ groundM, fill, view: [, bottom, , top] }: Figure): boolean {
  return groundM !== null && fill > 1 && groundM >= bottom && groundM <= top;
}
