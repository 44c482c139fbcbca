// Bundle the viewer page into one script and one style sheet that the Python package ships.
// `node build.mjs OUTDIR`; the result depends on the sources and the lock file only.
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? path.join(here, '../src/insaat_cli/viewer/assets'));
const settings = { bundle: true, minify: true, charset: 'utf8', legalComments: 'none', target: 'es2022', absWorkingDir: here };

await mkdir(out, { recursive: true });
await build({ ...settings, entryPoints: ['src/main.js'], format: 'iife', outfile: path.join(out, 'app.js') });
// Draco's decoder, a classic script of its own: few models need it.
const decoder = await readFile(path.join(here, 'node_modules/three/examples/jsm/libs/draco/gltf/draco_decoder.js'), 'utf8');
await writeFile(path.join(out, 'draco.js'), (await transform(decoder, { minify: true, charset: 'utf8', legalComments: 'none', target: 'es2022' })).code);
await build({ ...settings, entryPoints: ['src/style.css'], outfile: path.join(out, 'style.css') });
await writeFile(path.join(out, 'page.html'), await readFile(path.join(here, 'src/index.html')));

const { version } = JSON.parse(await readFile(path.join(here, 'node_modules/three/package.json')));
const licence = await readFile(path.join(here, 'node_modules/three/LICENSE'), 'utf8');
const draco = await readFile(path.join(here, 'src/draco-license.txt'), 'utf8');
await writeFile(path.join(out, 'LICENSES.txt'), `app.js contains three.js ${version}, https://threejs.org

${licence.trim()}

draco.js is the decoder of Draco, https://github.com/google/draco, as three.js ${version} brings it; Copyright The Draco Authors

${draco.trim()}
`);

// A stale bundle is then found without node: a test hashes the same files.
const sources = [...(await readdir(path.join(here, 'src'))).map((name) => `src/${name}`), 'build.mjs', 'package-lock.json'].sort();
const hash = createHash('sha256');
for (const name of sources) hash.update(await readFile(path.join(here, name)));
await writeFile(path.join(out, 'sources.sha256'), `${hash.digest('hex')}\n`);
