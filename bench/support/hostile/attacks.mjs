/** All attackers, and the lanes in which they run at once. Each is `(target, random) => [what was seen]`. */
import { setTimeout as sleep } from 'node:timers/promises';

import * as connections from './connections.mjs';
import * as doors from './doors.mjs';
import * as messages from './messages.mjs';
import { randomFrom } from './random.mjs';
import * as updates from './updates.mjs';

const attacks = { ...messages, ...updates, ...connections, ...doors };

/**
 * Runs attackers drawn from the seed, `lanes` at once, until `untilMs`.
 * @param targetOf a target for one attack: {agent, others, apiUrl, apiAddress, key, parameters, add}
 * @param onSeen called with (name of the attacker, what was seen)
 */
export async function runAttacks({ seed, lanes, untilMs, targetOf, onSeen }) {
  const lane = async (own) => {
    const random = randomFrom(own);
    while (Date.now() < untilMs) {
      const name = random.pick(Object.keys(attacks));
      try {
        for (const seen of await attacks[name](targetOf(random), random)) onSeen(name, seen);
      } catch (error) {
        onSeen(name, `threw ${error.code ?? error.message}`);
      }
      await sleep(random.below(50));
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, index) => lane(seed * 1000 + index)));
}
