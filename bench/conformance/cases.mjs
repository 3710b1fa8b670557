/** The cases of a folder: each a model file with the files of its inputs and expected outputs. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Node tests, in folders of their own, and light models, beside each other. */
export function casesIn(directory) {
  const entries = readdirSync(directory).sort();
  return [
    ...entries.flatMap((name) => nodeTest(directory, name)),
    ...entries.flatMap((name) => light(directory, name)),
  ];
}

function nodeTest(directory, name) {
  const folder = join(directory, name);
  const model = join(folder, 'model.onnx');
  if (!name.startsWith('test_') || !existsSync(model)) return [];
  const sets = readdirSync(folder)
    .filter((entry) => entry.startsWith('test_data_set_'))
    .sort();
  return sets.map((set) => {
    const files = readdirSync(join(folder, set));
    const numbered = (role) =>
      files
        .filter((file) => file.startsWith(`${role}_`) && file.endsWith('.pb'))
        .sort((a, b) => number(a) - number(b))
        .map((file) => join(folder, set, file));
    const label = sets.length === 1 ? name : `${name}/${set}`;
    return { name: label, model, inputs: numbered('input'), outputs: numbered('output') };
  });
}

function light(directory, name) {
  const output = join(directory, name.replace(/\.onnx$/, '_output_0.pb'));
  if (!name.endsWith('.onnx') || !existsSync(output)) return [];
  // Their input is i / n, as the runner of the ONNX package makes it.
  return [{ name, model: join(directory, name), inputs: 'ramp', outputs: [output] }];
}

const number = (file) => Number(/_(\d+)\.pb$/.exec(file)?.[1] ?? 0);
