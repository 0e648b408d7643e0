import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = dirname(fileURLToPath(import.meta.url));
const sources = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src"];

function filesOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => filesOf(join(path, entry.name)));
  } catch {
    return [path];
  }
}

/** One hash over names and contents, so that a test sees when the bundle is older than its sources. */
function hashOfSources(): string {
  const hash = createHash("sha256");
  const files = sources.flatMap((name) => filesOf(join(here, name))).map((path) => relative(here, path));
  for (const path of files.sort((a, b) => (a < b ? -1 : 1))) {
    hash.update(path.replaceAll("\\", "/")).update("\0").update(readFileSync(join(here, path))).update("\0");
  }
  return hash.digest("hex");
}

/** What the bundle contains of others, with their licences. */
function notices(): string {
  const own = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  const parts = Object.keys(own.dependencies).map((name) => {
    const folder = join(here, "node_modules", name);
    const meta = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const licence = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (licence === undefined) throw new Error(`${name}: no licence file in the package`);
    return `${name} ${meta.version} (${meta.license})\n\n${readFileSync(join(folder, licence), "utf8").trim()}\n`;
  });
  return `This bundle contains the following software.\n\n${parts.join(`\n${"-".repeat(72)}\n\n`)}`;
}

function provenance(): Plugin {
  return {
    name: "provenance",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "THIRD-PARTY.txt", source: notices() });
      this.emitFile({ type: "asset", fileName: "SOURCES.sha256", source: `${hashOfSources()}\n` });
    },
  };
}

export default defineConfig({
  root: here,
  base: "./",
  build: {
    outDir: "../src/s4mi/viewer/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  plugins: [provenance()],
});
