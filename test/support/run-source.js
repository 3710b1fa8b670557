/**
 * Runs a TypeScript file of the workspace in a process of its own, without a build: `node --import <this> file.ts`.
 * Specs that kill a process start it so. The same rules as in jest.config.js: `@graft/x/y` is x/src/y.ts, './x.js' is './x.ts'.
 */
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';

import { transform } from '@swc/core';

const root = new URL('../../', import.meta.url);

if (isMainThread) register(import.meta.url);

export async function resolve(specifier, context, next) {
  const [, room, path] = /^@graft\/([a-z-]+)\/(.*)$/u.exec(specifier) ?? [];
  if (room !== undefined) return next(new URL(`${room}/src/${path}.ts`, root).href, context);
  const fromSource = context.parentURL?.endsWith('.ts') === true && specifier.startsWith('.');
  return next(fromSource ? specifier.replace(/\.js$/u, '.ts') : specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith(pathToFileURL(fileURLToPath(root)).href) || !url.endsWith('.ts')) return next(url, context);
  const file = fileURLToPath(url);
  const { code } = await transform(await readFile(file, 'utf8'), {
    filename: file,
    swcrc: false,
    sourceMaps: 'inline',
    jsc: { parser: { syntax: 'typescript', decorators: true }, target: 'es2022' },
    module: { type: 'es6' },
  });
  return { format: 'module', source: code, shortCircuit: true };
}
