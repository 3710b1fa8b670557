/** What is deployed, held against the program: settings that exist, images that hold what runs, manifests that a cluster would take. */
import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { parse, parseAllDocuments } from 'yaml';

import { readConfig, type Config } from '@graft/coordinator/config/config';

const root = resolve(import.meta.dirname, '..');
const chart = join(root, 'deploy/helm/graft');

const text = async (path: string): Promise<string> => readFile(join(root, path), 'utf8');

/** Variables that make no difference to the configuration of a coordinator. */
function unread(environment: Readonly<Record<string, string>>): string[] {
  const read = (change: Readonly<Record<string, string | undefined>>): string =>
    JSON.stringify(readConfig([], { GRAFT_DIR: '/var/lib/graft', ...environment, ...change }));
  return Object.keys(environment).filter((name) => read({}) === read({ [name]: undefined }));
}

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly environment?: Readonly<Record<string, string>>;
        readonly volumes?: readonly string[];
        readonly ports?: readonly string[];
        readonly profiles?: readonly string[];
        readonly depends_on?: Readonly<Record<string, object>>;
      }
    >
  >;
  readonly volumes: Readonly<Record<string, null>>;
}

describe('the compose file', () => {
  let compose: Compose;
  let example: Readonly<Record<string, string>>;

  beforeAll(async () => {
    const lines = (await text('deploy/compose.env.example')).split('\n').filter((line) => /^\w+=/u.test(line));
    example = Object.fromEntries(lines.map((line) => line.split(/=(.*)/su).slice(0, 2) as [string, string]));
    compose = parse(await text('deploy/compose.yaml'), { merge: true }) as Compose;
  });

  /** As compose fills it in: a value, else the default behind `:-`. */
  const filled = (value: string): string =>
    value.replace(/\$\{(\w+)(?::[-?]([^}]*))?\}/gu, (_, name: string, otherwise = '') => {
      const known: Record<string, string> = { POSTGRES_PASSWORD: 'pw', S3_ACCESS_KEY: 'ak', S3_SECRET_KEY: 'sk' };
      return known[name] ?? (example[name] || String(otherwise));
    });

  test('starts a coordinator that reads every setting, on the database and the bucket beside it', () => {
    const { environment = {} } = compose.services['coordinator'] ?? {};
    const given = Object.fromEntries(
      Object.entries(environment)
        .map(([name, value]) => [name, filled(value)] as const)
        .filter(([, value]) => value !== ''),
    );
    expect(readConfig([], { GRAFT_DIR: '/d', ...given })).toMatchObject({
      db: 'postgres://graft:pw@postgres:5432/graft',
      blobs: 's3://graft',
      blobsEndpoint: 'http://s3:7070',
      blobsAccessKey: 'ak',
      blobsSecretKey: 'sk',
      hosts: ['coordinator', 'localhost'],
    } satisfies Partial<Config>);
    // Level and format are the defaults there, spelt out.
    expect(unread(given)).toEqual(['GRAFT_LOG_LEVEL', 'GRAFT_LOG_FORMAT']);
  });

  test('contains what it runs of ours, and shows the admin API to this machine alone', () => {
    for (const name of ['coordinator', 'agent-a', 'agent-b'])
      expect(compose.services[name]).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
    expect(compose.services['coordinator']?.ports?.find((port) => port.endsWith(':8080'))).toBe('127.0.0.1:8080:8080');
    expect(compose.services['agent-a']?.profiles).toEqual(['agents']);
  });

  test('names no volume, service or variable that is not there', async () => {
    const services = Object.values(compose.services);
    const volumes = services.flatMap(({ volumes: used = [] }) => used.map((volume) => volume.split(':')[0] ?? ''));
    for (const volume of volumes.filter((name) => /^[a-z]/u.test(name))) expect(compose.volumes).toHaveProperty(volume);
    for (const { depends_on: needed = {} } of services)
      for (const name of Object.keys(needed)) expect(compose.services).toHaveProperty(name);
    const used = [...(await text('deploy/compose.yaml')).matchAll(/\$\{(\w+)/gu)].map(([, name = '']) => name);
    expect([...new Set(used)].sort()).toEqual(Object.keys(example).sort());
  });
});

describe('the Dockerfile', () => {
  test('copies manifests and results that exist, and every workspace that a program needs', async () => {
    const lines = (await text('deploy/Dockerfile')).split('\n').filter((line) => line.startsWith('COPY '));
    const sources = lines.flatMap((line) => {
      const words = line.split(' ').slice(1);
      const paths = words.filter((word) => !word.startsWith('--')).slice(0, -1);
      return paths.map((path) => path.replace(/^\/graft\//u, ''));
    });
    const kept = sources.filter((path) => !/(^\.$|dist$|node_modules$)/u.test(path));
    for (const path of kept) await expect(access(join(root, path))).resolves.toBeUndefined();
    const needs = async (room: string): Promise<string[]> => {
      const manifest = JSON.parse(await text(`${room}/package.json`)) as { dependencies: Record<string, string> };
      return Object.keys(manifest.dependencies).flatMap((name) => /^@graft\/(.+)$/u.exec(name)?.[1] ?? []);
    };
    const rooms = [...(await needs('coordinator')), ...(await needs('client-agent')), 'coordinator', 'client-agent'];
    for (const room of rooms) expect(sources).toContain(`${room}/dist`);
  });

  test('runs as a user without rights, and says when it is healthy', async () => {
    const dockerfile = await text('deploy/Dockerfile');
    expect(dockerfile).toMatch(/^USER 10001:10001$/mu);
    expect(dockerfile).toMatch(/^HEALTHCHECK /mu);
    expect(dockerfile).toMatch(/^VOLUME \["\/var\/lib\/graft"\]$/mu);
    expect(dockerfile.match(/--omit=dev/gu)).toHaveLength(2);
  });
});

/** Where test/helm/build.sh puts it. */
const builtHelm =
  process.env['GRAFT_HELM_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'graft/helm');

/** Where helm is; undefined where it is not here. */
async function findHelm(): Promise<string | undefined> {
  for (const folder of [builtHelm, ...(process.env['PATH'] ?? '').split(delimiter)]) {
    const program = join(folder, 'helm');
    if (
      await access(program).then(
        () => true,
        () => false,
      )
    )
      return program;
  }
  return undefined;
}

interface Manifest {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: Readonly<Record<string, unknown>>;
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

const helm = await findHelm();
const isRequired = process.env['GRAFT_REQUIRE_HELM'] === '1';
const withHelm = helm !== undefined || isRequired ? describe : describe.skip;

withHelm('the Helm chart (needs helm: test/helm/build.sh)', () => {
  /** The manifests, or what helm says against the values. */
  const render = async (...values: readonly string[]): Promise<readonly Manifest[]> => {
    const sets = values.flatMap((value) => [value.startsWith('extraEnv') ? '--set-string' : '--set', value]);
    const args = ['template', 'r', chart, '--kube-version', '1.31.0', ...sets];
    const { stdout } = await promisify(execFile)(helm ?? 'helm', args);
    return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
  };
  const find = (manifests: readonly Manifest[], kind: string, name = 'r-graft'): Manifest => {
    const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
    if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
    return found;
  };
  const podOf = (manifests: readonly Manifest[]) => {
    const { template } = find(manifests, 'StatefulSet').spec as {
      readonly template: {
        readonly metadata: Manifest['metadata'];
        readonly spec: {
          readonly containers: readonly Container[];
          readonly volumes: readonly { readonly name: string }[];
        };
      };
    };
    return template;
  };

  test('runs three replicas on one database, bucket and set of keys; the coordinator reads every setting', async () => {
    const manifests = await render(
      'traces=otlp=http://collector:4318',
      'blobs.endpoint=http://s3:7070',
      'log.level=debug',
      'leaseMs=5000',
      'metrics.agents=50',
      'database.connections=7',
      'blobs.cacheMb=500',
      'log.format=pretty',
      'extraEnv.GRAFT_KEEP_CHECKPOINTS=20',
    );
    expect(find(manifests, 'StatefulSet').spec['replicas']).toBe(3);
    expect(find(manifests, 'PodDisruptionBudget').spec['maxUnavailable']).toBe(1);
    const [container] = podOf(manifests).spec.containers;
    const secrets: Record<string, string> = { GRAFT_DB: 'postgres://u:p@h/d' };
    const environment = Object.fromEntries(
      (container?.env ?? []).map(({ name, value }) => [name, value ?? secrets[name] ?? 'from a secret']),
    );
    expect(unread(environment)).toEqual([]);
    expect(readConfig([], { GRAFT_DIR: '/d', ...environment })).toMatchObject({
      hosts: ['hub.example', 'localhost'],
      publicGrpc: 'hub.example:9090',
      publicEnrol: 'hub.example:9091',
      keys: '/etc/graft/keys',
      blobs: 's3://graft',
      keepCheckpoints: 20,
    });
  });

  test('pods run without rights on a read-only root, and every mount has its volume', async () => {
    const manifests = await render();
    const { spec } = podOf(manifests);
    const [container] = spec.containers;
    expect(spec).toMatchObject({
      securityContext: { runAsNonRoot: true, runAsUser: 10001 },
      automountServiceAccountToken: false,
    });
    expect(container?.securityContext).toMatchObject({
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    });
    const claims = find(manifests, 'StatefulSet').spec['volumeClaimTemplates'] as readonly Manifest[];
    const volumes = [...spec.volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)];
    expect(container?.volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.sort());
  });

  test('services choose the pods, and send to ports that these have', async () => {
    const manifests = await render('metrics.serviceMonitor.enabled=true');
    const { metadata, spec } = podOf(manifests);
    const ports = spec.containers[0]?.ports.map(({ name }) => name) ?? [];
    const services = manifests.filter(({ kind }) => kind === 'Service');
    expect(services.map(({ metadata: { name } }) => name).sort()).toEqual([
      'r-graft-agents',
      'r-graft-api',
      'r-graft-replicas',
    ]);
    for (const service of services) {
      expect(metadata.labels).toMatchObject(Object(service.spec['selector']));
      for (const { targetPort } of service.spec['ports'] as readonly { targetPort: string }[])
        expect(ports).toContain(targetPort);
    }
    const chosen = find(manifests, 'ServiceMonitor').spec['selector'] as {
      readonly matchLabels: Record<string, string>;
    };
    const matching = services.filter(({ metadata: { labels } }) =>
      Object.entries(chosen.matchLabels).every(([label, value]) => labels[label] === value),
    );
    expect(matching.map(({ metadata: { name } }) => name)).toEqual(['r-graft-api']);
  });

  test('one replica may keep everything in its volume', async () => {
    const manifests = await render('replicas=1', 'database.existingSecret=', 'blobs.url=', 'keys.existingSecret=');
    expect(manifests.map(({ kind }) => kind)).not.toContain('PodDisruptionBudget');
    const names = podOf(manifests).spec.containers[0]?.env.map(({ name }) => name) ?? [];
    expect(names.filter((name) => /DB|BLOBS|KEYS/u.test(name))).toEqual([]);
  });

  test.each([
    ['blobs.url=', 'replicas > 1 needs blobs.url'],
    ['database.existingSecret=', 'replicas > 1 needs database.existingSecret'],
    ['keys.existingSecret=', 'replicas > 1 needs keys.existingSecret'],
    // Helm writes the place of a value as a pointer or with dots, by its version.
    ['log.level=loud', /log[./]level'?: /u],
    ['public.grpc=hub', /public[./]grpc'?: /u],
    ['replicas=0', /replicas'?: /u],
    ['extraEnv.PATH=x', 'extraEnv'],
    ['nonsense=1', 'nonsense'],
  ])('%s is refused, and said why', async (value, why) => {
    await expect(render(value)).rejects.toThrow(why);
  });
});
