// Fills and lines straight into the pixels of a canvas. Without a GPU a browser's own lines take several times as
// long: it makes a shape of each and composes the page anew for every picture.

/** A colour, as a canvas and as pixels take it. */
export interface Ink {
  css: string;
  /** 0xAABBGGRR: the four bytes of a pixel, of which a little-endian number has the lowest first. */
  abgr: number;
}

/** Reads #rrggbb and rgb(r g b). To have a canvas read it would not do: some browsers falsify what is read back. */
export function inkOf(css: string): Ink {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(css)?.slice(1).map((each) => parseInt(each, 16));
  const [red, green, blue] = hex ?? /^rgb\((\d+) (\d+) (\d+)\)$/.exec(css)?.slice(1).map(Number) ?? [];
  if (red === undefined || green === undefined || blue === undefined) throw new Error(`${css} is no #rrggbb nor rgb(r g b)`);
  return { css, abgr: (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0 };
}

/** How finely a pixel may be covered in part. */
const PARTS = 32;
const RED_BLUE = 0xff00ff;
const GREEN = 0x00ff00;

/** All measures are in pixels. */
export class Raster {
  readonly image: ImageData;
  private readonly pixels: Uint32Array;

  constructor(readonly width: number, readonly height: number) {
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  clear(ink: Ink): void {
    this.pixels.fill(ink.abgr);
  }

  /** Fills whole pixels, a part of their colour. */
  fill(x: number, y: number, width: number, height: number, { abgr }: Ink, part = 1): void {
    const left = Math.max(0, Math.round(x));
    const right = Math.min(this.width, Math.round(x + width));
    const bottom = Math.min(this.height, Math.round(y + height));
    const parts = Math.round(part * PARTS);
    for (let row = Math.max(0, Math.round(y)); row < bottom; row++) {
      const from = row * this.width;
      if (parts === PARTS) {
        if (right > left) this.pixels.fill(abgr, from + left, from + right);
      } else for (let at = from + left; at < from + right; at++) this.blend(at, abgr, parts);
    }
  }

  /**
   * A line of a width that is measured along the axis it runs across: along the other one pixel at a time, each
   * pixel across covered as far as the line reaches into it.
   */
  line(ax: number, ay: number, bx: number, by: number, width: number, { abgr }: Ink): void {
    const flat = Math.abs(bx - ax) >= Math.abs(by - ay);
    // Along and across: x and y of a flat line, y and x of a steep one.
    const strideAlong = flat ? 1 : this.width;
    const strideAcross = flat ? this.width : 1;
    const alongEnd = flat ? this.width : this.height;
    const acrossEnd = flat ? this.height : this.width;
    const a = flat ? ax : ay;
    const b = flat ? bx : by;
    const acrossA = flat ? ay : ax;
    const slope = a === b ? 0 : ((flat ? by : bx) - acrossA) / (b - a);
    const first = Math.max(0, Math.floor(Math.min(a, b)));
    const last = Math.min(alongEnd - 1, Math.floor(Math.max(a, b)));
    for (let along = first; along <= last; along++) {
      const low = acrossA + (along + 0.5 - a) * slope - width / 2;
      const high = low + width;
      const end = Math.min(acrossEnd, Math.ceil(high));
      for (let across = Math.max(0, Math.floor(low)); across < end; across++) {
        const covered = Math.min(across + 1, high) - Math.max(across, low);
        const at = along * strideAlong + across * strideAcross;
        if (covered === 1) this.pixels[at] = abgr;
        else this.blend(at, abgr, (covered * PARTS + 0.5) | 0);
      }
    }
  }

  private blend(at: number, abgr: number, parts: number): void {
    const under = this.pixels[at]!;
    const rest = PARTS - parts;
    const redBlue = (((abgr & RED_BLUE) * parts + (under & RED_BLUE) * rest) >>> 5) & RED_BLUE;
    const green = (((abgr & GREEN) * parts + (under & GREEN) * rest) >>> 5) & GREEN;
    this.pixels[at] = 0xff000000 | redBlue | green;
  }
}
