/** An enrolled agent in a folder of its own, run in the spec's process against a small coordinator. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { enrol } from '../enrol/enrol.adapter.js';
import { agentPaths, type AgentPaths } from '../config/agent-paths.js';
import type { DaemonEvent } from './daemon-events.js';
import { FakeCoordinator, until } from './fake-coordinator.contract.js';
import { FakeTrainer } from './fake-trainer.contract.js';
import { runAgent } from './run-agent.driver.js';

export class AgentRig {
  events: DaemonEvent[] = [];
  trainer = new FakeTrainer();
  folder = '';
  private drainSignal = new AbortController();
  private stopSignal = new AbortController();
  private ended: Promise<void> = Promise.resolve();

  private constructor(
    readonly coordinator: FakeCoordinator,
    private readonly template: string,
  ) {}

  static async open(): Promise<AgentRig> {
    const coordinator = await FakeCoordinator.start();
    const template = await mkdtemp(join(tmpdir(), 'graft enrolled '));
    await enrol({
      directory: template,
      server: coordinator.enrolmentAddress,
      token: 'token',
      fingerprint: coordinator.fingerprint,
      data: { data: 'data.yaml' },
      timeoutMs: 10_000,
      onProgress: () => undefined,
    });
    return new AgentRig(coordinator, template);
  }

  get paths(): AgentPaths {
    return agentPaths(this.folder);
  }

  /** A fresh directory and a coordinator as new. */
  async reset(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'graft agent '));
    await cp(this.template, this.folder, { recursive: true });
    await this.coordinator.reset();
    this.trainer = new FakeTrainer();
  }

  /** Adds fields to agent.yaml; JSON is YAML. */
  async configure(fields: object): Promise<void> {
    const text = await readFile(this.paths.config, 'utf8');
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
    const rest = text.replace(new RegExp(`^(${Object.keys(fields).join('|')}):.*\n(?: .*\n)*`, 'gmu'), '');
    await writeFile(this.paths.config, `${rest.trimEnd()}\n${lines.join('\n')}\n`);
  }

  start(): void {
    [this.events, this.drainSignal, this.stopSignal] = [[], new AbortController(), new AbortController()];
    this.ended = runAgent({
      directory: this.folder,
      stop: this.stopSignal.signal,
      drain: this.drainSignal.signal,
      emit: (event) => void this.events.push(event),
      trainer: this.trainer,
    });
    this.ended.catch(() => undefined);
  }

  /** As a first SIGTERM does. */
  drain(): void {
    this.drainSignal.abort();
  }

  /** As a second SIGTERM does; resolves when the agent has ended. */
  async stop(): Promise<void> {
    this.stopSignal.abort();
    await this.ended.catch(() => undefined);
  }

  async end(): Promise<void> {
    await this.ended;
  }

  /** Waits for an event of a kind. */
  async event<Kind extends DaemonEvent['event']>(kind: Kind): Promise<Extract<DaemonEvent, { event: Kind }>> {
    const isOfKind = (event: DaemonEvent): event is Extract<DaemonEvent, { event: Kind }> => event.event === kind;
    return until(() => this.events.find(isOfKind), `the event '${kind}'`);
  }

  trainings(): number {
    return this.trainer.calls.filter((name) => name === 'probe').length;
  }

  /** Ends the agent of a spec and removes its folder. */
  async clear(): Promise<void> {
    await this.stop();
    this.coordinator.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await rm(this.template, { recursive: true, force: true });
  }
}
