/** Colours of classes and maps as 256 RGBA values (little-endian words of an ImageData). */

export type Palette = Uint32Array;

/** Okabe and Ito (2008): told apart with every kind of colour vision. */
const CLASSES = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#b4e04a", "#9b7bff"];
export const SOURCE_COLOURS = { truth: "#3ddc97", prediction: "#ff9f1c", edited: "#4cc2ff" } as const;
type Source = keyof typeof SOURCE_COLOURS;
/** Of a difference image: equal, only truth, only prediction, another class. */
export const DIFFERENCE = ["#00000000", "#3ddc97", "#4c8dff", "#ff5c5c", "#e3b505"] as const;
const IGNORED = "#9aa0a6";

function word(hex: string, alpha = 255): number {
  const value = Number.parseInt(hex.slice(1, 7), 16);
  const [r, g, b] = [value >> 16, (value >> 8) & 255, value & 255];
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

export function classColour(index: number, classes: number, source: Source, ignore: number | null): string {
  if (index === ignore) return IGNORED;
  return classes <= 2 ? SOURCE_COLOURS[source] : CLASSES[(index - 1 + CLASSES.length) % CLASSES.length]!;
}

/** With one foreground class the colour tells the source, with several it tells the class. */
export function maskPalette(classes: number, source: Source, ignore: number | null): Palette {
  const palette = new Uint32Array(256);
  for (let index = 1; index < 256; index++) palette[index] = word(classColour(index, classes, source, ignore));
  return palette;
}

export function differencePalette(): Palette {
  const palette = new Uint32Array(256);
  DIFFERENCE.forEach((colour, index) => (palette[index] = index === 0 ? 0 : word(colour)));
  return palette;
}

/** From transparent through violet and orange to light yellow, after matplotlib's inferno. */
export function heatPalette(): Palette {
  const stops = [
    [0, 0, 4],
    [87, 16, 110],
    [188, 55, 84],
    [249, 142, 9],
    [252, 255, 164],
  ];
  return new Uint32Array(256).map((_, value) => {
    const at = (value / 255) * (stops.length - 1);
    const low = stops[Math.floor(at)]!;
    const high = stops[Math.min(stops.length - 1, Math.floor(at) + 1)]!;
    const mixed = low.map((channel, i) => Math.round(channel + (high[i]! - channel) * (at % 1)));
    return ((Math.min(255, value * 2) << 24) | (mixed[2]! << 16) | (mixed[1]! << 8) | mixed[0]!) >>> 0;
  });
}
