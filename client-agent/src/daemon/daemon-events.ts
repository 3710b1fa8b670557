/** What happens to an agent, as data: `start` prints one line of each, --json one object, and `status` shows the last ones. */
import { formatBytes, formatDuration } from '../output/format.js';
import type { Progress } from '../trainer/trainer-calls.js';
import { describeEstimate } from '../trainer/training/estimate.js';

export type DaemonEvent =
  | { readonly event: 'connected'; readonly address: string; readonly coordinator: string; readonly skewMs: number }
  | {
      readonly event: 'disconnected';
      readonly address: string;
      readonly code: string;
      readonly cause: string;
      readonly attempt: number;
      readonly retryInMs: number;
    }
  | { readonly event: 'data'; readonly training: number; readonly heldOut: number; readonly skipped: number }
  | { readonly event: 'data-problem'; readonly code: string; readonly message: string }
  | { readonly event: 'delivery-problem'; readonly run: string; readonly round: number; readonly message: string }
  | { readonly event: 'log-problem'; readonly message: string }
  | {
      readonly event: 'queued';
      readonly kind: string;
      readonly run: string;
      readonly round: number;
      readonly task: string;
      readonly priority: number;
    }
  | {
      readonly event: 'dropped';
      readonly kind: string;
      readonly run: string;
      readonly round: number;
      readonly reason: string;
    }
  | { readonly event: 'ignored'; readonly id: string; readonly reason: string }
  | { readonly event: 'device'; readonly device: string; readonly about: string }
  | { readonly event: 'paused'; readonly reason: string }
  | { readonly event: 'resumed' }
  | { readonly event: 'draining'; readonly limitMs: number; readonly inHand: number }
  | { readonly event: 'working'; readonly kind: string; readonly run: string; readonly round: number }
  | { readonly event: 'done'; readonly kind: string; readonly run: string; readonly round: number }
  | ({ readonly event: 'progress'; readonly run: string; readonly round: number } & Progress)
  | {
      readonly event: 'update-sent';
      readonly run: string;
      readonly round: number;
      readonly examples: number;
      readonly initialLoss: number;
      readonly loss: number;
      readonly bytes: number;
      readonly ms: number;
      readonly accepted: boolean;
      /** Why it was refused, and what to do; of the coordinator. */
      readonly message?: string;
      readonly reason: string;
    }
  | {
      readonly event: 'evaluation-sent';
      readonly run: string;
      readonly round: number;
      readonly examples: number;
      readonly accuracyFp32: number;
      readonly accuracyInt8?: number;
      readonly accepted: boolean;
      readonly reason: string;
    }
  | {
      readonly event: 'failed';
      readonly run: string;
      readonly round: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly event: 'cancelled'; readonly run: string; readonly round: number; readonly reason: string }
  | {
      readonly event: 'installed';
      readonly release: string;
      readonly run: string;
      readonly round: number;
      readonly precision: string;
    }
  | { readonly event: 'drained'; readonly reconnectAfterMs: number }
  | { readonly event: 'not-needed'; readonly comeBackMs: number }
  | { readonly event: 'stopped'; readonly reason: string };

/** One line for people; undefined where the event is not worth one. */
export function lineOf(event: DaemonEvent): string | undefined {
  switch (event.event) {
    case 'connected':
      return `connected to ${event.address}, version ${event.coordinator}, clock skew ${(event.skewMs / 1000).toFixed(1)} s; waiting for rounds`;
    case 'disconnected':
      return `not connected: ${event.cause}; attempt ${event.attempt + 1} in ${formatDuration(event.retryInMs)}`;
    case 'data':
      return `data: ${event.training} examples to train on, ${event.heldOut} held out${event.skipped > 0 ? `, ${event.skipped} skipped (graft-agent check names them)` : ''}`;
    case 'data-problem':
      return `data: ${event.message}`;
    case 'delivery-problem':
      return `${round(event)}  not delivered yet: ${event.message}`;
    case 'log-problem':
      return `the log of what was sent cannot be written: ${event.message}`;
    case 'queued':
    case 'working':
    case 'done':
      return undefined;
    case 'dropped':
      return `${round(event)}  dropped: ${event.reason}`;
    case 'ignored':
      return `an instruction was ignored: ${event.reason}`;
    case 'device':
      return `device: ${event.about}`;
    case 'paused':
      return `takes no work: ${event.reason}`;
    case 'resumed':
      return 'takes work again';
    case 'draining':
      return event.inHand === 0
        ? 'draining: nothing is in hand'
        : `draining: what is in hand has ${formatDuration(event.limitMs)} to end; once more to stop with its checkpoint`;
    case 'progress':
      if (event.warnings !== undefined) return `${round(event)}  data: ${event.warnings.join('; ')}`;
      return event.estimate === undefined
        ? undefined
        : `${round(event)}  training: ${describeEstimate(event.estimate, { duration: formatDuration, bytes: formatBytes })}`;
    case 'update-sent':
      return `${round(event)}  ${event.examples > 0 ? `trained on ${event.examples} examples, loss ${event.initialLoss.toFixed(3)} -> ${event.loss.toFixed(3)}` : 'probed'}, ${formatDuration(event.ms)}, sent ${formatBytes(event.bytes)} sealed: ${verdict(event)}`;
    case 'evaluation-sent':
      return `${round(event)}  evaluated on ${event.examples} held out: fp32 ${share(event.accuracyFp32)}${event.accuracyInt8 === undefined ? '' : `, int8 ${share(event.accuracyInt8)}`}: ${verdict(event)}`;
    case 'failed':
      return `${round(event)}  failed: ${event.message} [${event.code}]`;
    case 'cancelled':
      return `${round(event)}  cancelled: ${event.reason}`;
    case 'installed':
      return `${round(event)}  installed release ${event.release} (${event.precision})`;
    case 'drained':
      return `the coordinator sends its agents away; back in ${formatDuration(event.reconnectAfterMs)}`;
    case 'not-needed':
      return `no work for this agent now; back in ${formatDuration(event.comeBackMs)}, or as soon as there is something to say`;
    default:
      return `stopped: ${event.reason}`;
  }
}

function round({ round: number }: { readonly round: number }): string {
  return `round ${String(number).padEnd(4)}`;
}

function share(value: number): string {
  return value.toFixed(3).replace(/^0/, '');
}

function verdict(said: { readonly accepted: boolean; readonly reason: string; readonly message?: string }): string {
  const { accepted, reason, message } = said;
  return accepted ? 'accepted' : `refused (${reason})${message === undefined ? '' : `: ${message}`}`;
}
