import { generate } from './generate.js';
import { simulate } from './simulate.js';
const from = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 1), ops = Number(process.argv[4] ?? 40);
const t = performance.now();
const statuses: Record<string, number> = {};
let fails = 0;
for (let s = from; s < from + n; s++) {
  const out = await simulate(generate(s, { ops, databaseEvery: 0 }));
  for (const st of out.statuses) statuses[st] = (statuses[st] ?? 0) + 1;
  if (out.failure) { fails++; console.log(s, out.failure.invariant, '|', out.failure.message.slice(0, 400)); if (n === 1) console.log(out.failure.trace.join('\n')); }
  if (n === 1) console.log(JSON.stringify({ ...out, failure: undefined }));
}
console.log(n, 'seeds', ((performance.now() - t) / n).toFixed(1), 'ms each', statuses, 'fails', fails);
