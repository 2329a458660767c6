/** Loads sources with a call at each of their awaits, and kills this process (SIGKILL) at the named one. To be called before they are imported. */

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { instrumented, type RoadFile } from './await-points.ts';

const ROOT = path.join(import.meta.dirname, '../..');

export interface KillAtPoint {
  /** The points that were come to while it was armed. */
  readonly reached: ReadonlySet<string>;
  arm(isArmed: boolean): void;
}

export function killAtPoint(files: readonly RoadFile[], point: string): KillAtPoint {
  const reached = new Set<string>();
  let isArmed = false;
  Object.assign(globalThis, {
    pointReached: (name: string) => {
      if (!isArmed) return;
      reached.add(name);
      if (name === point) process.kill(process.pid, 'SIGKILL');
    },
    passOn: (value: unknown, then: () => void) => {
      then();
      return value;
    },
  });
  registerHooks({
    load(address, context, next) {
      const loaded = next(address, context);
      const place = address.startsWith('file:') ? fileURLToPath(address) : '';
      const file = path.relative(ROOT, place).replaceAll(path.sep, '/');
      if (!files.some((one) => one.file === file)) return loaded;
      return { ...loaded, source: instrumented(file, readFileSync(place, 'utf8')) };
    },
  });
  return {
    reached,
    arm: (armed) => {
      isArmed = armed;
    },
  };
}
