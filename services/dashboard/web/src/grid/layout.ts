// Where tiles are: pure arithmetic. Bands of tiles, one per branch, below one another.

/** Height of a band's heading, CSS pixels. */
export const HEADING_PX = 22;
const MAX_ZOOM = 12;

export interface Band {
  session: number;
  /** Tiles in it. */
  count: number;
  /** Top of its first row. */
  top: number;
  rows: number;
}

export interface Layout {
  columns: number;
  tileW: number;
  tileH: number;
  bands: Band[];
  /** Height of everything. */
  height: number;
}

export interface Place {
  band: number;
  index: number;
}

type Counts = readonly { session: number; count: number }[];

/** Lays tiles of an aspect (width over height) out so that zoom 1 shows all in width x height. */
export function layOut(counts: Counts, width: number, height: number, zoom: number, aspect: number): Layout {
  const total = counts.reduce((sum, each) => sum + each.count, 0);
  const headings = counts.length > 1 ? HEADING_PX : 0;
  let columns = Math.max(1, Math.floor(Math.sqrt((Math.max(1, total) * width) / (Math.max(1, height) * aspect))));
  while (columns < 4096 && stack(counts, width, columns, headings, aspect).height > height) columns += 1;
  const most = Math.max(1, ...counts.map((each) => each.count));
  if (columns > most && zoom === 1 && counts.length > 0) {
    // So few that a row has room for more: they are as large as the height allows.
    const rowH = height / counts.length - headings;
    return stack(counts, Math.min(width, most * rowH * aspect), most, headings, aspect);
  }
  columns = Math.max(1, Math.min(Math.max(1, total), Math.round(columns / Math.min(zoom, MAX_ZOOM))));
  return stack(counts, width, columns, headings, aspect);
}

function stack(counts: Counts, width: number, columns: number, heading: number, aspect: number): Layout {
  const tileW = width / columns;
  const tileH = tileW / aspect;
  let top = 0;
  const bands = counts.map(({ session, count }) => {
    const rows = Math.ceil(count / columns);
    const band = { session, count, top: top + heading, rows };
    top += heading + rows * tileH;
    return band;
  });
  return { columns, tileW, tileH, bands, height: top };
}

/** Which tile is at x, y of the whole picture. */
export function tileAt(layout: Layout, x: number, y: number): Place | null {
  for (let band = 0; band < layout.bands.length; band++) {
    const { top, rows, count } = layout.bands[band]!;
    if (y < top || y >= top + rows * layout.tileH) continue;
    const column = Math.floor(x / layout.tileW);
    const index = Math.floor((y - top) / layout.tileH) * layout.columns + column;
    if (column >= 0 && column < layout.columns && index < count) return { band, index };
  }
  return null;
}

/** Left and top of a tile. */
export function originOf(layout: Layout, { band, index }: Place): { x: number; y: number } {
  const row = Math.floor(index / layout.columns);
  return {
    x: (index % layout.columns) * layout.tileW,
    y: (layout.bands[band]?.top ?? 0) + row * layout.tileH,
  };
}
