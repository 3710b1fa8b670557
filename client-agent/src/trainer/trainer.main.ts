/** The trainer process: forked by the daemon, ends when the daemon does. Private data and native code live here. */
import { createJobs } from './jobs.adapter.js';
import { serveJobs } from './serve.driver.js';

process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole group of processes; the daemon decides when the trainer ends.
process.on('SIGINT', () => undefined);

serveJobs(
  {
    on: (event, listener) => process.on(event, listener),
    send: (message) => {
      process.send?.(message);
    },
  },
  createJobs(async () => {
    const { createModelJobs } = await import('./model-jobs.adapter.js');
    const { onnxRuntime } = await import('@graft/models/runtime/onnxruntime.adapter');
    const { openEngine } = await import('./training/engine.adapter.js');
    const { engineSchema } = await import('./training/engine-spec.js');
    const engine = engineSchema.parse(JSON.parse(process.argv[2] ?? '{}'));
    return createModelJobs(onnxRuntime, () => openEngine(engine));
  }),
);
