/** Ends with 0 where the coordinator of this container is ready, with 1 where it is not. For HEALTHCHECK. */
const port = process.env['GRAFT_API_PORT'] ?? '8080';
try {
  const response = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(4_000) });
  process.exitCode = response.ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
