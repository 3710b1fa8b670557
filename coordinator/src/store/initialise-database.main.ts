/**
 * A process of its own that makes a new embedded database in the empty folder it is given, synced to the disk, and ends.
 * Making one takes several times the memory of using one, which a long-lived process would keep.
 */
import { makeCluster } from './durable-node-fs.adapter.js';

// Whoever asked for it has died: nobody will use it.
process.once('disconnect', () => process.exit(1));

await makeCluster(process.argv[2] ?? '');
process.exit(0);
