/** One key for each class: 1 to 9, then the letters that no tool uses. */

const TOOL_LETTERS = "bcefghknoprsuvxyz";
const ONLY_MASKS = "befghkor";

export function classKeys(count: number, withMasks: boolean): string[] {
  const used = withMasks ? TOOL_LETTERS : [...TOOL_LETTERS].filter((letter) => !ONLY_MASKS.includes(letter)).join("");
  const letters = [..."abcdefghijklmnopqrstuvwxyz"].filter((letter) => !used.includes(letter));
  return [..."123456789", ...letters].slice(0, count);
}
