// Builds gateway/browser/onramp.{js,mjs,d.ts} and build.json from gateway/browser/src. `make browser` calls it.
//
// node build.mjs [directory]: writes there instead, for a comparison with what is committed.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build, transform } from "esbuild";
import { minify } from "terser";

const here = dirname(fileURLToPath(import.meta.url));
const browser = join(here, "..", "..", "gateway", "browser");
const out = process.argv[2] ?? browser;

/** Everything the result depends on, as tests/browser/test_build.py hashes it too: names and contents, in the order of their names. */
function sourceHash() {
  const files = [
    ...readdirSync(join(browser, "src")).map((name) => ["src/" + name, join(browser, "src", name)]),
    ...["build.mjs", "package.json", "tsconfig.json"].map((name) => [name, join(here, name)]),
  ];
  const hash = createHash("sha256");
  for (const [name, path] of files.sort(([one], [other]) => (one < other ? -1 : 1))) {
    hash.update(`${name}\0`).update(readFileSync(path)).update("\0");
  }
  return hash.digest("hex");
}

execFileSync(join(here, "node_modules", ".bin", "tsc"), ["-p", here], { stdio: "inherit" });

const source = sourceHash();
const common = {
  bundle: true,
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  // Members that only our own modules call; they get short names, as private ones do by themselves.
  mangleProps:
    /^(anonymous|arrow|available|base|card|clear|connected|emit|end|forget|holds|hurry|known|late|leave|may|merged|names|next|pause|received|refuse|relay|report|secret|seen|timer|tokens|unmerged)$/,
  logLevel: "error",
  write: false,
};
// A second pass over what esbuild made: it is 3 % smaller. What is unsafe about it makes no difference here, like x + "" instead of String(x).
const compress = {
  comparisons: false,
  ecma: 2022,
  hoist_funs: true,
  if_return: false,
  keep_fargs: false,
  passes: 3,
  pure_getters: true,
  sequences: false,
  unsafe: true,
  unsafe_arrows: true,
  unsafe_methods: true,
};
const bundle = async (entry, format) => {
  const { text } = (await build({ ...common, entryPoints: [join(browser, "src", entry)], format })).outputFiles[0];
  const [sheet] = /`\n:host[^`]*`/.exec(text);
  const style = await transform(sheet.slice(1, -1), { loader: "css", minify: true, target: ["chrome104", "firefox101", "safari16.4"] });
  const { code } = await minify(text.replace(sheet, () => JSON.stringify(style.code.trim())), { ecma: 2022, compress, module: format === "esm" });
  return `${code}\n`;
};

// The types of the page's side are one file without imports; beside it stand the two values of the module.
const types = readFileSync(join(browser, "src", "types.ts"), "utf8");
const results = {
  "onramp.js": await bundle("global.ts", "iife"),
  "onramp.mjs": await bundle("index.ts", "esm"),
  "onramp.d.ts":
    types +
    `
/** Events and rendered guidance; start it with \`init\`. */
export declare const onramp: Onramp;
/** A client that renders nothing. */
export declare function createClient(options: Options): Client;
`,
};

mkdirSync(out, { recursive: true });
const files = {};
for (const [name, text] of Object.entries(results)) {
  writeFileSync(join(out, name), text);
  const bytes = Buffer.from(text);
  files[name] = {
    bytes: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    integrity: `sha384-${createHash("sha384").update(bytes).digest("base64")}`,
  };
}
writeFileSync(join(out, "build.json"), JSON.stringify({ source, files }, null, 2) + "\n");
for (const [name, { bytes, gzip }] of Object.entries(files)) console.log(`${name}: ${bytes} bytes, ${gzip} compressed`);
