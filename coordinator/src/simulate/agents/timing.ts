/** How long a piece of work takes on a device: fetch, compute, send, one after another. */
import type { Device } from '../devices/device.js';

export interface Effort {
  readonly downBytes: number;
  /** Examples that are computed, passes over them counted. */
  readonly examples: number;
  readonly upBytes: number;
}

export interface Duration {
  /** Until the agent has begun to compute. */
  readonly fetchMs: number;
  readonly totalMs: number;
}

export function durationOf(device: Device, { downBytes, examples, upBytes }: Effort): Duration {
  const fetchMs = (downBytes / device.downBytesPerSecond) * 1000;
  const computeMs = (examples / device.examplesPerSecond) * 1000;
  const sendMs = (upBytes / device.upBytesPerSecond) * 1000;
  return { fetchMs, totalMs: fetchMs + computeMs + sendMs };
}
