/** What stays from image to image and over a reload: layers, opacities, tool. */

const STORED = "s4mi.image";

export interface LayerPreference {
  on: boolean;
  opacity: number;
}

interface Preferences {
  layers: Record<string, LayerPreference>;
  outline: boolean;
  advance: boolean;
  tool: string;
  size: number | null;
}

function read(): Preferences {
  const standard: Preferences = { layers: {}, outline: false, advance: true, tool: "pan", size: null };
  try {
    return { ...standard, ...(JSON.parse(localStorage.getItem(STORED) ?? "{}") as Partial<Preferences>) };
  } catch {
    return standard;
  }
}

export const preferences = read();

export function keepPreferences(): void {
  localStorage.setItem(STORED, JSON.stringify(preferences));
}
