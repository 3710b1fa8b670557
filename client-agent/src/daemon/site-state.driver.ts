/**
 * Whether the site takes work, and what it offers. The coordinator hears of both with each connection and, while there is one,
 * as soon as they change: it shows a paused site as paused, and does not choose it.
 */
import type * as wire from '@graft/protos/messages';

import type { AgentConfig } from '../config/agent-config.js';
import type { DataSummary } from '../data/dataset.js';
import type { DaemonEvent } from './daemon-events.js';
import { describePause, type Pause } from './brake-files.js';
import type { Connection } from './connection.driver.js';
import type { SentLog } from './sent-log.adapter.js';

/** How long the coordinator may take to hear it; a connection that hangs says it with the next one. */
const tellMs = 5_000;

export interface SiteOptions {
  readonly config: AgentConfig;
  readonly threads: number;
  /** Absent where the site has no usable data. */
  readonly summary: DataSummary | undefined;
  readonly sentLog: Pick<SentLog, 'append'>;
  readonly connection: () => Pick<Connection, 'now'>;
  readonly emit: (event: DaemonEvent) => void;
}

export class SiteState {
  private pause: Pause | undefined;
  private draining = false;
  /** The processor until another device was tried and works. */
  private device = 'cpu';
  private telling: Promise<void> = Promise.resolve();
  /** What the coordinator heard last. */
  private told = { paused: '', capabilities: '' };

  constructor(private readonly options: SiteOptions) {}

  /** Why it takes no work, for people; empty while it does. */
  paused(): string {
    if (this.draining) return 'about to stop';
    return this.pause === undefined ? '' : describePause(this.pause);
  }

  /** What a connection begins with. */
  hello(): Required<Pick<wire.ConnectRequest, 'paused'>> & { readonly capabilities: wire.Capabilities } {
    const said = { paused: this.paused(), capabilities: this.capabilities() };
    this.told = { paused: said.paused, capabilities: JSON.stringify(said.capabilities) };
    return said;
  }

  /** What changed while the connection was being opened is told now. */
  async onConnected(): Promise<void> {
    await this.tell();
  }

  private capabilities(): wire.Capabilities {
    const { config, threads, summary } = this.options;
    return {
      device: this.device,
      threads,
      trainingExamples: summary?.training ?? 0,
      heldOutExamples: summary?.heldOut ?? 0,
      tags: config.tags,
      declinedTasks: Object.keys(config.tasks).filter((name) => config.tasks[name]?.accept === false),
    };
  }

  async setPause(pause: Pause | undefined): Promise<void> {
    const before = this.paused();
    this.pause = pause;
    const reason = this.paused();
    if (reason === before) return;
    this.options.emit(reason === '' ? { event: 'resumed' } : { event: 'paused', reason });
    await this.tell();
  }

  async drain(): Promise<void> {
    this.draining = true;
    await this.tell();
  }

  /** @param about what was tried, for people */
  async setDevice(device: string, about: string): Promise<void> {
    this.options.emit({ event: 'device', device, about });
    if (device === this.device) return;
    this.device = device;
    await this.tell();
  }

  /** One after the other, so that the last word is the last heard; without a connection the next one says it. Never rejects. */
  private tell(): Promise<void> {
    this.telling = this.telling.then(() => this.send()).catch(() => undefined);
    return this.telling;
  }

  private async send(): Promise<void> {
    const { sentLog, config } = this.options;
    const client = this.options.connection().now();
    const [paused, capabilities] = [this.paused(), this.capabilities()];
    const now = { paused, capabilities: JSON.stringify(capabilities) };
    if (client === undefined || (now.paused === this.told.paused && now.capabilities === this.told.capabilities))
      return;
    const change = now.capabilities === this.told.capabilities ? {} : { capabilities };
    const request = { runId: '', round: 0, activity: '', progress: 0, loss: 0, paused, ...change };
    const note = paused === '' ? 'takes work' : paused;
    await sentLog.append({ what: 'progress', to: config.federation, bytes: JSON.stringify(request).length, note });
    await client.heartbeat(request, { deadline: new Date(Date.now() + tellMs) });
    this.told = now;
  }
}
