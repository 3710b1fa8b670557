/** Several trainers behind one: a call goes to the one with the least in hand, the first of them where they are equal. */
import type { Trainer } from '../trainer/trainer-process.driver.js';

export function trainerPool(size: number, create: () => Trainer): Trainer {
  const trainers = Array.from({ length: size }, () => ({ trainer: create(), inHand: 0 }));
  const [first] = trainers;
  if (first === undefined || size === 1) return first?.trainer ?? create();
  return {
    call: async (name, input, options) => {
      const chosen = trainers.reduce((least, each) => (each.inHand < least.inHand ? each : least), first);
      chosen.inHand += 1;
      try {
        return await chosen.trainer.call(name, input, options);
      } finally {
        chosen.inHand -= 1;
      }
    },
    pid: () => first.trainer.pid(),
    close: async () => {
      await Promise.all(trainers.map(({ trainer }) => trainer.close()));
    },
  };
}
