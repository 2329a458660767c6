/** CPU time and memory of processes, from /proc: ours, and PostgreSQL's apart. */

import { readdirSync, readFileSync } from 'node:fs';

/** Linux's USER_HZ, the same on every architecture that we run on. */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly parent: number;
  /** Seconds of the process itself, its threads included. */
  readonly own: number;
  /** Seconds of its children that have ended. */
  readonly ended: number;
}

function statOf(pid: number | 'self'): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = (index: number): number => Number(fields[index]) / TICKS_PER_SECOND;
    return { parent: Number(fields[1]), own: ticks(11) + ticks(12), ended: ticks(13) + ticks(14) };
  } catch {
    return null;
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && statOf(Number(name))?.parent === parent)
    .map(Number);
}

/** Resident bytes of one process; what it shares with others counts by its part. */
function memoryOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Seconds of CPU of one process so far, its threads included. */
export function cpuSecondsOf(pid: number): number {
  return statOf(pid)?.own ?? 0;
}

export interface Cpu {
  readonly ours: number;
  readonly postgres: number;
}

/** Seconds of CPU so far: the server's, its commands' (children of this process that have ended), PostgreSQL's. */
export function cpuOf(server: number, postmaster: number): Cpu {
  const own = statOf(server)?.own ?? 0;
  const commands = statOf('self')?.ended ?? 0;
  const head = statOf(postmaster);
  const backends = childrenOf(postmaster).reduce((sum, pid) => sum + (statOf(pid)?.own ?? 0), 0);
  return { ours: own + commands, postgres: (head?.own ?? 0) + (head?.ended ?? 0) + backends };
}

const SAMPLE_MS = 200;

/** Samples memory every 200 ms: the highest resident size of the server and its commands together, PostgreSQL apart. */
export class MemoryWatch {
  readonly #timer: NodeJS.Timeout;
  #ours = 0;
  #postgres = 0;

  /** @param ours the pids that are ours at the moment. */
  constructor(ours: () => readonly number[], postmaster: number) {
    let samples = 0;
    this.#timer = setInterval(() => {
      const pss = ours().reduce((sum, pid) => sum + memoryOf(pid), 0);
      this.#ours = Math.max(this.#ours, pss);
      if (samples++ % 5 !== 0) return;
      const pids = [postmaster, ...childrenOf(postmaster)];
      const all = pids.reduce((sum, pid) => sum + memoryOf(pid), 0);
      this.#postgres = Math.max(this.#postgres, all);
    }, SAMPLE_MS);
  }

  /** The highest so far, in MB; begins anew. */
  take(): { readonly oursMb: number; readonly postgresMb: number } {
    const mb = (bytes: number): number => Math.round(bytes / 1_048_576);
    const taken = { oursMb: mb(this.#ours), postgresMb: mb(this.#postgres) };
    this.#ours = 0;
    this.#postgres = 0;
    return taken;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
