/** The checks of `graft-agent check`, each on its own: a verdict with the values it rests on. */
import { stat } from 'node:fs/promises';
import { connect, type TLSSocket } from 'node:tls';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { decodeImage } from '@graft/models/pipeline/image.adapter';
import { describeCertificate } from '@graft/protos/trust/fingerprint.adapter';

import type { EnrolledAgent } from '../config/agent-directory.adapter.js';
import { readDataset } from '../data/dataset.adapter.js';
import type { Example, ExampleSource } from '../data/dataset.js';
import { readStatusFile } from '../daemon/status-file.adapter.js';
import { parseAddress } from '../enrol/enrolment-answers.js';
import { messageOf } from '../output/output.js';
import { currentRelease, verifyInstalled } from '../releases/release-store.adapter.js';
import { createTrainer } from '../trainer/trainer-process.driver.js';

export interface CheckResult {
  readonly name: string;
  readonly verdict: 'PASS' | 'FAIL' | 'WARN' | 'SKIPPED';
  readonly detail: string;
  readonly fix?: string;
  readonly number?: string;
}

const dayMs = 24 * 3_600_000;

/** A certificate that ends sooner than this is worth a warning. */
const renewWithinDays = 30;

/** Images that are decoded: enough to find a wrong format, few enough to take a second. */
const decodedImages = 64;

/** Any size will do: what is asked is whether the file is an image. */
const anyImage = { kind: 'image', channels: 3, height: 8, width: 8, invert: false, scale: 1, offset: 0 } as const;

/** The keys are there and nobody else may read them. */
export async function checkKeys({ paths }: EnrolledAgent): Promise<CheckResult> {
  const { tls, signing, agreement } = paths.keys;
  const modes = await Promise.all([tls, signing, agreement].map(async (file) => (await stat(file)).mode & 0o777));
  const open = modes.findIndex((mode) => (mode & 0o077) !== 0);
  if (open !== -1 && process.platform !== 'win32') {
    const fix = `chmod 600 ${paths.keys.directory}/*`;
    return { name: 'keys', verdict: 'FAIL', detail: `${[tls, signing, agreement][open]} may be read by others`, fix };
  }
  return { name: 'keys', verdict: 'PASS', detail: 'TLS, signing and agreement keys, readable by their owner alone' };
}

/** The certificate belongs to this agent, and how long it is valid. */
export async function checkCertificate({ tls, config }: EnrolledAgent): Promise<CheckResult> {
  const { commonName, notAfterMs } = describeCertificate(tls.certificate.toString());
  const ca = describeCertificate(tls.ca.toString());
  if (ca.fingerprint !== config.fingerprint) {
    throw new GraftError('CA_MISMATCH', `the CA on the disk is ${ca.fingerprint}, pinned is ${config.fingerprint}`);
  }
  if (commonName !== config.agentId) {
    throw new GraftError(
      'CERTIFICATE_INVALID',
      `the certificate is of '${commonName}', this agent is ${config.agentId}`,
    );
  }
  const days = Math.floor((notAfterMs - Date.now()) / dayMs);
  const until = new Date(notAfterMs).toISOString().slice(0, 10);
  if (days < 0) throw new GraftError('CERTIFICATE_INVALID', `the certificate expired on ${until}`);
  return {
    name: 'certificate',
    verdict: days < renewWithinDays ? 'WARN' : 'PASS',
    detail: `valid until ${until} (${days} days)`,
    ...(days < renewWithinDays ? { fix: 'ask the operator for a new token, then graft-agent enroll --replace' } : {}),
  };
}

/** The clock lies in the certificate's validity; the last connection measured the difference to the coordinator's. */
export async function checkClock({ tls, paths }: EnrolledAgent): Promise<CheckResult> {
  const { notBeforeMs } = describeCertificate(tls.certificate.toString());
  const nowMs = Date.now();
  if (nowMs < notBeforeMs - limits.clockSkewMs) {
    throw new GraftError(
      'CLOCK_SKEW',
      `this clock says ${new Date(nowMs).toISOString()}, the certificate was made at ${new Date(notBeforeMs).toISOString()}`,
    );
  }
  const skewMs = (await readStatusFile(paths.status))?.clockSkewMs;
  const limit = `limit ${limits.clockSkewMs / 1000} s`;
  return skewMs === undefined
    ? {
        name: 'clock',
        verdict: 'PASS',
        detail: `within the certificate's validity; compared at every connection (${limit})`,
      }
    : {
        name: 'clock',
        verdict: 'PASS',
        detail: `skew ${(skewMs / 1000).toFixed(1)} s at the last connection (${limit})`,
      };
}

/** The federation service answers with a certificate of the pinned CA. */
export async function checkServer({ config, tls }: EnrolledAgent, timeoutMs: number): Promise<CheckResult> {
  const { host, port } = parseAddress(config.federation);
  const startedAtMs = Date.now();
  const { protocol, alpn } = await handshake({ host, port, timeoutMs, ...tls });
  const detail = `${config.federation}, ${protocol}, ${Date.now() - startedAtMs} ms`;
  if (alpn !== 'h2')
    throw new GraftError('UNAVAILABLE', `${config.federation} speaks no HTTP/2; is it the right port?`);
  return { name: 'server', verdict: 'PASS', detail };
}

/** What examples are called, whatever file they are in. */
const nouns: Readonly<Record<ExampleSource['kind'], string>> = {
  image: 'images',
  features: 'rows of numbers',
  row: 'rows of named columns',
  text: 'texts',
  tensor: 'tensors',
};

/** What one example is, so that it can be compared with what a task takes. */
function sample([example]: readonly Example[]): string {
  switch (example?.source.kind) {
    case 'features':
      return `, ${example.source.values.length} numbers each`;
    case 'row':
      return `, columns ${example.source.columns.slice(0, 6).join(', ')}${example.source.columns.length > 6 ? ', …' : ''}`;
    case 'tensor':
      return `, ${example.source.dtype} [${example.source.shape.join(', ')}] each`;
    case 'text':
      return example.source.pair === undefined ? '' : ', two each';
    default:
      return '';
  }
}

/** The examples can be read. */
export async function checkData({ places }: EnrolledAgent): Promise<CheckResult> {
  const dataset = await readDataset(places.dataFile, places.indexFile);
  const labels = new Set(dataset.examples.map(({ label }) => label));
  const unreadable = await undecodable(dataset.examples);
  const named = [...dataset.skipped.map(({ name, reason }) => `${name}: ${reason}`), ...unreadable];
  const bad = dataset.skippedCount + unreadable.length;
  const summary = `${dataset.examples.length} ${nouns[dataset.kind]}, ${labels.size} classes${sample(dataset.examples)}`;
  if (bad === 0) return { name: 'data', verdict: 'PASS', detail: summary };
  return {
    name: 'data',
    verdict: 'WARN',
    detail: `${summary}; ${bad} cannot be used, e.g. ${named.slice(0, 3).join('; ')}`,
    fix: `correct or remove them; --json names up to ${dataset.skipped.length + unreadable.length}`,
  };
}

/** The runtime starts in a process of its own, and computes. */
export async function checkRuntime({ config }: Pick<EnrolledAgent, 'config'>): Promise<CheckResult> {
  const trainer = createTrainer(undefined, { engine: config.training });
  try {
    const { about, threads, startMs } = await trainer.call('runtime', null);
    return {
      name: 'device',
      verdict: 'PASS',
      detail: `${about}, ${threads} cores, started in ${startMs} ms`,
    };
  } finally {
    await trainer.close();
  }
}

/** The installed release is whole. */
export async function checkRelease({ paths }: EnrolledAgent): Promise<CheckResult> {
  const release = await currentRelease(paths.releases);
  if (release === undefined) return { name: 'release', verdict: 'SKIPPED', detail: 'none is installed yet' };
  await verifyInstalled(release);
  const { id, round, precision } = release.manifest;
  return { name: 'release', verdict: 'PASS', detail: `${id}, round ${round}, ${precision}, every file has its hash` };
}

/** Names of images that are none, among those that are looked at. */
async function undecodable(examples: readonly Example[]): Promise<string[]> {
  const bad: string[] = [];
  const step = Math.max(1, Math.floor(examples.length / decodedImages));
  for (let index = 0; index < examples.length; index += step) {
    const example = examples[index];
    if (example?.source.kind !== 'image') continue;
    try {
      await decodeImage({ file: example.source.path }, anyImage);
    } catch (error) {
      bad.push(`${example.name}: ${messageOf(error)}`);
    }
  }
  return bad;
}

interface Handshake {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly ca: Buffer;
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
}

/** Throws UNAVAILABLE with the cause: no name, nobody listens, another CA, another host name. */
async function handshake(
  options: Handshake,
): Promise<{ readonly protocol: string; readonly alpn: string | false | null }> {
  const { host, port, timeoutMs, ca, certificate: cert, privateKey: key } = options;
  const socket: TLSSocket = connect({ host, port, ca, cert, key, timeout: timeoutMs, ALPNProtocols: ['h2'] });
  try {
    return await new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void =>
        reject(new GraftError('UNAVAILABLE', `${host}:${port}: ${why}`, { cause }));
      socket.once('error', (error) => fail(error.message));
      socket.once('timeout', () => fail(`no answer in ${timeoutMs / 1000} s`));
      socket.once('secureConnect', () =>
        resolve({ protocol: socket.getProtocol() ?? 'TLS', alpn: socket.alpnProtocol }),
      );
    });
  } finally {
    socket.destroy();
  }
}
