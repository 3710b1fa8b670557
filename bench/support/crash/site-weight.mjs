/**
 * Loaded before an agent's programs: its probes add GRAFT_BENCH_WEIGHT times what the plan says. With distinct powers of two the mean
 * of a round tells whose updates are in it, and how often.
 */
const weight = Number(process.env.GRAFT_BENCH_WEIGHT);

function weigh({ call, input }) {
  if (call === 'probe') input.add *= weight;
}

if (process.argv[1]?.endsWith('trainer.main.js')) {
  // Before the trainer's own listener, and not earlier: a message that comes while nobody listens must wait.
  process.once('newListener', function before(event) {
    if (event !== 'message') process.once('newListener', before);
    else process.prependListener('message', weigh);
  });
}
