/** For phases in which agents may come and go without consequence, because the phase waits for the coordinator's own work. */
import type { Outcome } from '../machine/effect.js';
import type { EventOf } from '../machine/event.js';
import { noteConnected, noteLost, notePaused, noteRestart } from '../machine/presence.js';
import type { RunState } from '../machine/state.js';

export const presenceOnly = {
  restarted: (state: RunState, event: EventOf<'restarted'>): Outcome => ({
    state: noteRestart(state, event),
    effects: [],
  }),
  agentConnected: (state: RunState, event: EventOf<'agentConnected'>): Outcome => ({
    state: noteConnected(state, event.agentId, event.traits),
    effects: [],
  }),
  agentLost: (state: RunState, event: EventOf<'agentLost'>): Outcome => ({
    state: noteLost(state, event.agentId, event.atMs),
    effects: [],
  }),
  agentPaused: (state: RunState, event: EventOf<'agentPaused'>): Outcome => ({
    state: notePaused(state, event),
    effects: [],
  }),
};
