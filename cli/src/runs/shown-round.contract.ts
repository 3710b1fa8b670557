/** Runs and rounds as the admin API answers them, for specs of what is printed. */
import type { RoundAgentView, RoundDetail, RunView } from '../api/views.js';

export const atMs = Date.UTC(2026, 10, 24, 10, 15, 0);

export function runOf(changes: Partial<RunView> = {}): RunView {
  return {
    id: '01JDX5V3K8ZQ4M7T0B6C9D2E1F',
    taskId: '01JDX5V3K8ZQ4M7T0B6C9D2E10',
    taskName: 'chest-xray',
    status: 'running',
    round: 3,
    rounds: 10,
    phase: 'training',
    reason: '',
    createdAtMs: atMs - 252_000,
    attempt: 1,
    attempts: 3,
    phaseStartedAtMs: atMs - 12_300,
    waiting: {
      for: 'updates of 2 agents, 1 accepted',
      endedBy: '2 more updates; at the deadline this try fails, because a round needs 2 updates and has 1',
      untilMs: atMs + 48_000,
    },
    cohort: { min: 2, goal: 3, max: 5 },
    connected: 7,
    ...changes,
  };
}

const accepted: RoundAgentView = {
  state: 'accepted',
  attempt: 1,
  exampleCount: 1_234,
  loss: 0.4123,
  bytesUp: 2_345_678,
  bytesDown: 4_567_890,
  seconds: 41.2,
  fetchSeconds: 0.31,
  featureSeconds: 3.2,
  trainSeconds: 33.5,
  sealSeconds: 0.04,
};
const states: readonly RoundAgentView[] = [
  accepted,
  { state: 'training', attempt: 1, bytesUp: 0, bytesDown: 4_567_890 },
  {
    ...accepted,
    state: 'refused',
    reason: 'norm',
    message: 'the norm of the update is 812.4, the limit is 10 times the median of the round, 31.2',
  },
];

/** A round with `count` agents: accepted, training and refused ones first, then accepted ones. */
export function roundOf(count: number, changes: Partial<RoundDetail> = {}): RoundDetail {
  const ids = Array.from({ length: count }, (_, index) => `agent-${String(index).padStart(4, '0')}`);
  const agents = Object.fromEntries(ids.map((id, index) => [id, states[index] ?? accepted]));
  const refused = Math.max(0, Math.min(1, count - 2));
  return {
    round: 3,
    phase: 'training',
    startedAtMs: atMs - 13_500,
    record: {
      attempt: 1,
      agents,
      updates: { accepted: Math.max(0, count - 2), refused, failed: 0, lost: 0, stragglers: 0 },
      refusals: refused > 0 ? { norm: 1 } : {},
      abandoned: [],
      trainingLoss: 0.4123,
      bytesUp: 2_345_678 * count,
      bytesDown: 4_567_890 * count,
      secondsByPhase: { selecting: 1.2 },
    },
    agents: ids.map((id, index) => ({
      id,
      name: index === 1 ? 'universitaetsklinikum-hamburg-eppendorf-radiologie-2' : `site-${index}`,
      connected: true,
      ...(index === 1 && { activity: 'training', progress: 0.42, loss: 0.55 }),
    })),
    ...changes,
  };
}
