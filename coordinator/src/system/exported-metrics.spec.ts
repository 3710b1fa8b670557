/** What a running coordinator exports, held against the dashboard and the page that tell of it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { pino } from 'pino';
import { z } from 'zod';

import { readConfig } from '../config/config.js';
import { startCoordinator, type Coordinator } from '../server/coordinator.driver.js';
import { metricCatalogue } from './metric-catalogue.js';

const root = resolve(import.meta.dirname, '../../..');

/** The parts of Grafana's dashboard schema that this dashboard uses (grafana.com/docs, 'Dashboard JSON model'). */
const datasourceSchema = z.strictObject({ type: z.literal('prometheus'), uid: z.literal('${datasource}') });
const gridSchema = z.strictObject({ x: z.int(), y: z.int(), w: z.int().min(1).max(24), h: z.int().min(1) });
const targetSchema = z.strictObject({
  datasource: datasourceSchema,
  expr: z.string().min(1),
  refId: z.string().regex(/^[A-Z]$/u),
  legendFormat: z.string(),
  format: z.literal('table').optional(),
  instant: z.boolean().optional(),
});
const rowSchema = z.strictObject({
  type: z.literal('row'),
  id: z.int(),
  title: z.string().min(1),
  collapsed: z.boolean(),
  gridPos: gridSchema,
  panels: z.array(z.never()),
});
const panelSchema = z.strictObject({
  type: z.enum(['stat', 'timeseries', 'table', 'state-timeline']),
  id: z.int(),
  title: z.string().min(1),
  description: z.string(),
  datasource: datasourceSchema,
  targets: z.array(targetSchema).min(1),
  fieldConfig: z.strictObject({ defaults: z.object({}).loose(), overrides: z.array(z.object({}).loose()) }),
  options: z.object({}).loose(),
  transformations: z.array(z.object({}).loose()).optional(),
  gridPos: gridSchema,
});
const variableSchema = z.looseObject({
  name: z.string(),
  type: z.enum(['datasource', 'query']),
  definition: z.string().optional(),
});
const dashboardSchema = z.looseObject({
  title: z.string(),
  uid: z.string().max(40),
  id: z.null(),
  schemaVersion: z.int().min(36),
  templating: z.strictObject({ list: z.array(variableSchema) }),
  panels: z.array(z.discriminatedUnion('type', [rowSchema, panelSchema])),
});
type Dashboard = z.infer<typeof dashboardSchema>;

let directory: string;
let coordinator: Coordinator;
let exported: ReadonlyMap<string, string>;
let dashboard: Dashboard;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'graft metrics '));
  const ports = ['--api-port', '0', '--grpc-port', '0', '--enrol-port', '0'];
  coordinator = await startCoordinator(readConfig(['--dir', directory, ...ports], {}), pino({ level: 'silent' }));
  const key = (await readFile(join(directory, 'admin.key'), 'utf8')).trim();
  const response = await fetch(`${coordinator.ready.apiUrl}/metrics`, { headers: { authorization: `Bearer ${key}` } });
  const text = await response.text();
  exported = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gmu)].map(([, name = '', kind = '']) => [name, kind]));
  const json: unknown = JSON.parse(await readFile(join(root, 'deploy/grafana/graft.json'), 'utf8'));
  dashboard = dashboardSchema.parse(json);
}, 180_000);

afterAll(async () => {
  await coordinator.stop();
  await rm(directory, { recursive: true });
}, 60_000);

/** Names of metrics in a query: words that no label, function or variable is. */
const metricsIn = (expr: string): string[] => [...expr.matchAll(/\bgraft_\w+/gu)].map(([name]) => name);

/** The metric that a series belongs to: a histogram's have endings. */
const seriesOf = (name: string): string => {
  const base = name.replace(/_(bucket|sum|count)$/u, '');
  return exported.get(base) === 'histogram' ? base : name;
};

test('a running coordinator exports every metric of the catalogue, as what it is', () => {
  for (const [name, { kind }] of Object.entries(metricCatalogue))
    expect([name, exported.get(name)]).toEqual([name, kind]);
});

test('every metric that the dashboard asks for is exported, and histograms are asked for by their buckets', () => {
  const queries = dashboard.panels.flatMap((panel) =>
    panel.type === 'row' ? [] : panel.targets.map(({ expr }) => expr),
  );
  const variables = dashboard.templating.list.flatMap(({ definition }) => definition ?? []);
  const names = [...queries, ...variables].flatMap(metricsIn);
  expect(new Set(names).size).toBeGreaterThan(30);
  for (const name of names) {
    expect([...exported.keys()]).toContain(seriesOf(name));
    expect([name, exported.get(name)]).not.toEqual([name, 'histogram']);
  }
});

test('every metric of the catalogue is on the dashboard', () => {
  const text = JSON.stringify(dashboard);
  const missing = Object.keys(metricCatalogue).filter((name) => !text.includes(name));
  // The same delay as a quantile of the panel, kept for who reads it by this name.
  expect(missing).toEqual(['graft_event_loop_delay_p99_seconds']);
});

test('labels in the dashboard’s queries are labels of the metric', () => {
  for (const panel of dashboard.panels) {
    if (panel.type === 'row') continue;
    for (const { expr } of panel.targets)
      for (const [, name = '', inside = ''] of expr.matchAll(/\b(graft_\w+)\{([^}]*)\}/gu)) {
        const row = Object.entries(metricCatalogue).find(([known]) => known === seriesOf(name))?.[1];
        const used = [...inside.matchAll(/(\w+)(?:=~|!~|!=|=)/gu)].map(([, label = '']) => label);
        const known: readonly string[] = row === undefined ? [] : row.labels;
        expect([name, used.filter((label) => label !== 'job' && !known.includes(label))]).toEqual([name, []]);
      }
  }
});

test('panels have ids of their own, fit the grid and do not lie on each other', () => {
  const { panels } = dashboard;
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Set<string>();
  for (const {
    gridPos: { x, y, w, h },
    title,
  } of panels)
    for (let column = x; column < x + w; column++)
      for (let line = y; line < y + h; line++) {
        expect([title, column < 24, taken.has(`${column} ${line}`)]).toEqual([title, true, false]);
        taken.add(`${column} ${line}`);
      }
});

test('the page on observability has a row for every metric, with kind, labels and help', async () => {
  const page = await readFile(join(root, 'docs/observability.md'), 'utf8');
  // Those of an agent, for its own site, have a table of their own.
  const [coordinator = ''] = page.split('### At a site');
  const rows = coordinator.split('\n').filter((line) => line.startsWith('| `graft_'));
  const expected = Object.entries(metricCatalogue).map(
    ([name, { kind, labels, help }]) => `| \`${name}\` | ${kind} | ${labels.join(', ')} | ${help} |`,
  );
  expect(rows).toEqual(expected);
});
