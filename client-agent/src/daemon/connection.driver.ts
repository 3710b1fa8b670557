/**
 * The agent's one connection: opened, kept, and opened again with jittered back-off until the agent is told to stop.
 * Each time it fails it says where to, why, and when it tries again. Work goes on while there is no connection.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { GraftError } from '@graft/core/error';
import type { Random } from '@graft/core/random';
import type { FederationClient } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';

import { backoffMs, type BackoffPolicy } from './backoff.js';
import { connectionError, isTransient, isWorthRetrying } from './call-errors.js';
import type { DaemonEvent } from './daemon-events.js';
import { checkSkew } from '../jobs/plan.js';

/** How long an opened stream may take to say Welcome. */
const welcomeMs = 10_000;

/** Heartbeat where the coordinator names none. */
const defaultHeartbeatMs = 5_000;

/** What a coordinator may ask for at most, whatever it says: Node's timers turn longer waits into none. */
export const longestHeartbeatMs = 600_000;
const longestAwayMs = 24 * 3_600_000;

/** How long a transfer in hand may hold up a reconnection that the coordinator asked for. */
const drainGraceMs = 10_000;

export interface ConnectionOptions {
  /** host:port, for messages. */
  readonly address: string;
  /** A client over a channel of its own. */
  readonly open: () => FederationClient;
  readonly hello: () => wire.ConnectRequest;
  readonly policy: BackoffPolicy;
  readonly random: Random;
  /** Aborted when the agent stops. */
  readonly signal: AbortSignal;
  /** Without a connection for this long, the agent gives up with the last cause. */
  readonly timeoutMs?: number;
  readonly nowMs: () => number;
  readonly emit: (event: DaemonEvent) => void;
  /** Every instruction but Welcome and Drain. */
  readonly onInstruction: (instruction: wire.Instruction) => void;
  readonly onConnected: () => void;
  /** Resolves when no transfer is under way. */
  readonly transfersDone: () => Promise<void>;
  /** True where nothing is in hand and nothing is left to report. */
  readonly isIdle: () => boolean;
}

export class Connection {
  /** The coordinator's clock minus ours. */
  skewMs = 0;
  heartbeatMs = defaultHeartbeatMs;
  private current: FederationClient | undefined;
  private waiting: ((client: FederationClient) => void)[] = [];
  private drainMs: number | undefined;
  /** How long the coordinator can do without this agent, once that has nothing in hand. */
  private awayMs = 0;
  /** True from leaving, because it is not needed, until it comes back. */
  private isAway = false;
  /** Ends a time away before it is over. */
  private comeBack: (() => void) | undefined;
  /** Ends the open connection. */
  private leave: () => void = () => undefined;

  constructor(private readonly options: ConnectionOptions) {}

  /** The client of the open connection; waits while there is none. Rejects with CANCELLED when the signal is aborted. */
  client(signal: AbortSignal): Promise<FederationClient> {
    if (signal.aborted) return Promise.reject(cancelled());
    if (this.current !== undefined) return Promise.resolve(this.current);
    return new Promise((resolve, reject) => {
      const give = (client: FederationClient): void => {
        signal.removeEventListener('abort', giveUp);
        resolve(client);
      };
      const giveUp = (): void => {
        this.waiting = this.waiting.filter((other) => other !== give);
        reject(cancelled());
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.waiting.push(give);
      this.comeBack?.();
    });
  }

  /** The client of the open connection, if there is one. */
  now(): FederationClient | undefined {
    return this.current;
  }

  /** Makes a call until it succeeds, over as many connections as it takes. Throws what does not pass by itself. */
  async retry<Result>(signal: AbortSignal, call: (client: FederationClient) => Promise<Result>): Promise<Result> {
    for (let failures = 1; ; failures++) {
      const client = await this.client(signal);
      try {
        return await call(client);
      } catch (error) {
        if (signal.aborted) throw cancelled();
        if (!isTransient(error)) throw error;
      }
      await this.backOff(failures, signal);
      if (signal.aborted) throw cancelled();
    }
  }

  /** The coordinator does not need this agent for so long; 0 where it does. */
  mayLeave(comeBackMs: number): void {
    this.awayMs = Math.min(longestAwayMs, comeBackMs);
  }

  /** Nothing is in hand: leaves the connection until the coordinator wants the agent again, if it said so. */
  leaveIfAsked(): void {
    const { awayMs } = this;
    if (awayMs === 0 || this.current === undefined) return;
    this.isAway = true;
    this.options.emit({ event: 'not-needed', comeBackMs: awayMs });
    this.leave();
  }

  /** Waits as long as is due after so many failures in a row. */
  backOff(failures: number, signal: AbortSignal): Promise<void> {
    return pause(backoffMs(failures, this.options.policy, this.options.random), signal);
  }

  /** Runs until the agent stops. Throws where coming back is pointless: revoked, another protocol, no valid certificate. */
  async run(): Promise<void> {
    const { signal, policy, random, address, emit, nowMs, timeoutMs } = this.options;
    let failures = 0;
    let lostAtMs = nowMs();
    while (!signal.aborted) {
      const error = await this.serve(() => {
        failures = 0;
        lostAtMs = Infinity;
      });
      if (signal.aborted) return;
      if (this.isAway) {
        await this.stayAway();
        [failures, lostAtMs] = [0, nowMs()];
        continue;
      }
      if (!isWorthRetrying(error)) throw error;
      if (lostAtMs === Infinity) lostAtMs = nowMs();
      failures += 1;
      const retryInMs = this.drainMs ?? backoffMs(failures, policy, random);
      this.drainMs = undefined;
      if (timeoutMs !== undefined && nowMs() + retryInMs - lostAtMs > timeoutMs) {
        throw new GraftError('UNAVAILABLE', `no connection to ${address} for ${timeoutMs / 1000} s`, { cause: error });
      }
      emit({ event: 'disconnected', address, code: error.code, cause: error.message, attempt: failures, retryInMs });
      await pause(retryInMs, signal);
    }
  }

  /** Waits until the coordinator wants the agent again, or the agent has something to say. */
  private async stayAway(): Promise<void> {
    const back = new AbortController();
    this.comeBack = () => back.abort();
    const { awayMs } = this;
    [this.awayMs, this.isAway] = [0, false];
    if (this.waiting.length === 0) await pause(awayMs, AbortSignal.any([back.signal, this.options.signal]));
    this.comeBack = undefined;
  }

  /** One connection, until it ends; returns why. */
  private async serve(onWelcome: () => void): Promise<GraftError> {
    const { open, hello, signal, address, nowMs, onInstruction, emit, onConnected, isIdle } = this.options;
    const client = open();
    const over = new AbortController();
    const stop = (): void => over.abort();
    this.leave = stop;
    signal.addEventListener('abort', stop, { once: true });
    const timer = setTimeout(stop, welcomeMs);
    try {
      for await (const instruction of client.connect(hello(), {
        signal: over.signal,
      }) as AsyncIterable<wire.Instruction>) {
        if (instruction.kind === 'welcome') {
          clearTimeout(timer);
          this.greet(instruction.welcome, nowMs());
          onWelcome();
          emit({
            event: 'connected',
            address,
            coordinator: instruction.welcome.coordinatorVersion,
            skewMs: this.skewMs,
          });
          this.offerClient(client);
          onConnected();
        } else if (instruction.kind === 'drain' && instruction.drain.ifIdle === true) {
          if (!isIdle()) continue;
          this.mayLeave(instruction.drain.reconnectAfterMs);
          this.leaveIfAsked();
        } else if (instruction.kind === 'drain') {
          this.drain(instruction.drain.reconnectAfterMs, stop);
        } else {
          onInstruction(instruction);
        }
      }
      return new GraftError('UNAVAILABLE', `${address} ended the connection`);
    } catch (error) {
      return connectionError(error, address);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      this.current = undefined;
      over.abort();
      client.close();
    }
  }

  private greet(welcome: wire.Welcome, atMs: number): void {
    this.skewMs = welcome.clockMs - atMs;
    checkSkew(this.skewMs);
    if (welcome.heartbeatMs > 0) this.heartbeatMs = Math.min(longestHeartbeatMs, welcome.heartbeatMs);
  }

  private offerClient(client: FederationClient): void {
    this.current = client;
    const waiting = this.waiting;
    this.waiting = [];
    for (const give of waiting) give(client);
  }

  /** Finishes the transfer in hand, then leaves the connection. */
  private drain(reconnectAfterMs: number, leave: () => void): void {
    const { random, emit, transfersDone } = this.options;
    this.drainMs = Math.round(Math.min(longestAwayMs, reconnectAfterMs) * (1 + random.next() / 4));
    emit({ event: 'drained', reconnectAfterMs: this.drainMs });
    const timer = setTimeout(leave, drainGraceMs);
    void transfersDone().finally(() => {
      clearTimeout(timer);
      leave();
    });
  }
}

/** Waits, at most until the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

export function cancelled(why = 'the agent stops'): GraftError {
  return new GraftError('CANCELLED', why);
}
