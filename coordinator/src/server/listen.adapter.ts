/** Addresses: where to listen, and what to tell others. */
import { isIP } from 'node:net';

const loopbackNames: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1']);

/** The address that agents' ports listen on: loopback where no other name was given, else every interface. */
export function listenHost(hosts: readonly string[]): string {
  return hosts.every((host) => loopbackNames.has(host)) ? '127.0.0.1' : '0.0.0.0';
}

/** host:port as others write it. */
export function address(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}
