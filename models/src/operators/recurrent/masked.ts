/** Factors of steps behind the end of a sequence: nothing passes a gate there, and states stay as they are. */
import type { GraphBuilder } from '../graph-builder.js';
import type { Direction } from './direction.js';

/** `factor` where the sequence lasts, else 0. */
export function whileLasting({ mask, build }: Direction, factor: string): string {
  return mask === undefined ? factor : build.add('Mul', [factor, mask]);
}

/** `factor` where the sequence lasts, else 1. */
export function keptBehind({ mask, build }: Direction, factor: string): string {
  if (mask === undefined) return factor;
  return build.add('Add', [build.add('Mul', [factor, mask]), behind(mask, build)]);
}

/** 1 behind the end; undefined where no sequence ends. */
export function behindEnd({ mask, build }: Direction): string | undefined {
  return mask === undefined ? undefined : behind(mask, build);
}

const behind = (mask: string, build: GraphBuilder): string => build.add('Sub', [build.scalar(1, mask), mask]);
