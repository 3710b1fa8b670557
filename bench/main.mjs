/** `npm run bench -- NAME ...`: one measurement, one JSON line a case. */
import { run as agents } from './agents.mjs';
import { run as crash } from './crash.mjs';
import { run as featureCache } from './feature-cache.mjs';
import { run as hostile } from './hostile.mjs';
import { run as overhead } from './overhead.mjs';
import { run as powerCut } from './power-cut.mjs';
import { run as soak } from './soak.mjs';
import { run as swarm } from './swarm.mjs';
import { run as train } from './train.mjs';
import { run as unitCosts } from './unit-costs.mjs';

const measurements = {
  agents,
  overhead,
  'power-cut': powerCut,
  crash,
  'feature-cache': featureCache,
  hostile,
  soak,
  swarm,
  train,
  'unit-costs': unitCosts,
};
const [name = '', ...args] = process.argv.slice(2);

if (Object.hasOwn(measurements, name)) await measurements[name](args);
else {
  console.error(`usage: npm run bench -- ${Object.keys(measurements).join('|')} [options]; see bench/README.md`);
  process.exitCode = 4;
}
