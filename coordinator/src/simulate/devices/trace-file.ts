/**
 * A trace of one's own. JSON: an array of devices (device.ts). CSV: a header with the same names in any order, `availability`
 * as one number for every hour or as 24 numbers with semicolons between them.
 * Throws TRACE_INVALID, naming line or entry, field and what it may be.
 */
import { z } from 'zod';

import { GraftError } from '@graft/core/error';

import { deviceSchema, hoursOfDay, type Device } from './device.js';

/** Most devices of a trace: beyond this it does not fit beside the simulation. */
const mostDevices = 1_000_000;

export function parseTrace(text: string, name: string): Device[] {
  const rows = /^\s*[[{]/u.test(text) ? jsonRows(text, name) : csvRows(text, name);
  if (rows.length === 0) throw invalid(name, 'holds no device');
  if (rows.length > mostDevices) throw invalid(name, `holds ${rows.length} devices, the limit is ${mostDevices}`);
  return rows.map(({ where, value }) => {
    const parsed = deviceSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw invalid(name, `${where}: ${issueOf(parsed.error)}`);
  });
}

interface Row {
  readonly where: string;
  readonly value: unknown;
}

function jsonRows(text: string, name: string): Row[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(name, `is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!Array.isArray(value)) throw invalid(name, 'is JSON, but no array of devices');
  return value.map((one: unknown, index) => ({ where: `device ${index + 1}`, value: one }));
}

function csvRows(text: string, name: string): Row[] {
  const lines = text
    .split(/\r?\n/u)
    .flatMap((line, index) => (line.trim() === '' ? [] : [{ line, number: index + 1 }]));
  const [first, ...rest] = lines;
  if (first === undefined) return [];
  const header = first.line.split(',').map((field) => field.trim());
  const unknown = header.find((field) => !Object.hasOwn(deviceSchema.shape, field));
  if (unknown !== undefined) {
    const known = Object.keys(deviceSchema.shape).join(', ');
    throw invalid(name, `line ${first.number} is no header: '${unknown.slice(0, 40)}' is none of ${known}`);
  }
  return rest.map(({ line, number }) => {
    const cells = line.split(',').map((cell) => cell.trim());
    if (cells.length !== header.length) {
      throw invalid(name, `line ${number} has ${cells.length} fields, the header has ${header.length}`);
    }
    const fields = header.map((field, index) => [field, cellOf(field, cells[index] ?? '')] as const);
    return { where: `line ${number}`, value: Object.fromEntries(fields.filter(([, value]) => value !== undefined)) };
  });
}

/** An empty cell is left out, which gives the field its default. */
function cellOf(field: string, cell: string): unknown {
  if (cell === '') return undefined;
  if (field !== 'availability') return Number(cell);
  const hours = cell.split(';').map(Number);
  return hours.length === 1 ? Array.from({ length: hoursOfDay }, () => hours[0]) : hours;
}

function issueOf({ issues }: z.ZodError): string {
  const [first] = issues;
  return first === undefined ? 'is not valid' : `${first.path.join('.') || 'it'}: ${first.message}`;
}

function invalid(name: string, what: string): GraftError {
  return new GraftError('TRACE_INVALID', `the trace ${name} ${what}`);
}
