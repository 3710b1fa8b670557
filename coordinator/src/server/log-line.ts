/** A line of the log on its way out: without secrets, and readable where people read it. Pure. */

const censored = '[redacted]';

/** Fields whose values are secrets, whatever they hold. */
const secretFields =
  /"(password|secret|secretKey|blobsSecretKey|secretAccessKey|token|authorization|apiKey|masterKey|privateKey|privateKeyPem|cookie)":"(?:[^"\\]|\\.)*"/giu;

/** Secrets in the midst of words: our own keys and tokens, credentials in URLs, headers, PEM, signed links. */
const secretTexts: readonly (readonly [RegExp, string])[] = [
  [/\bgraft_(enrol|key)_[\w-]+/gu, `graft_$1_${censored}`],
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/"\\]{0,256}):[^\s@/"\\]{1,1024}@/giu, `$1:${censored}@`],
  [/\b(Bearer|Basic) +[\w~+/.=-]{4,}/giu, `$1 ${censored}`],
  [/-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*?-----END [A-Z ]{0,20}PRIVATE KEY-----/gu, censored],
  [/\b(X-Amz-Signature|X-Amz-Credential|token|password)=[^\s&"\\]+/giu, `$1=${censored}`],
];

/** The line without secrets. What it does to a line of JSON leaves JSON. */
export function withoutSecrets(line: string): string {
  let clean = line.replace(secretFields, (_, name: string) => `"${name}":"${censored}"`);
  for (const [secret, replacement] of secretTexts) clean = clean.replace(secret, replacement);
  return clean;
}

const levels: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO ',
  40: 'WARN ',
  50: 'ERROR',
  60: 'FATAL',
};

/** A JSON line for people: `16:52:07.123 INFO  round 3: training  runId=… round=3`; a stack on lines of its own. What is no JSON stays as it is. */
export function prettyLine(line: string): string {
  const entry = parse(line);
  if (entry === undefined) return line;
  const { time, level, msg, err, ...rest } = entry;
  const at = typeof time === 'string' ? time.slice(11, 23) : '';
  const error = Object(err) as { readonly message?: unknown; readonly stack?: unknown };
  const values = Object.entries({ ...rest, ...(err !== undefined && { error: error.message }) });
  const fields = values.map(
    ([name, value]) => `${name}=${typeof value === 'string' ? quoted(value) : JSON.stringify(value)}`,
  );
  const head = [at, levels[Number(level)] ?? String(level), typeof msg === 'string' ? msg : ''].join(' ').trim();
  const stack = typeof error.stack === 'string' ? `\n${error.stack.replace(/^/gmu, '    ')}` : '';
  return `${[head, ...fields].join('  ')}${stack}\n`;
}

const quoted = (text: string): string => (/^[^\s"=]+$/u.test(text) ? text : JSON.stringify(text));

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
