/**
 * Who is visible in a message, by three parsers that are not ours: postal-mime, mailparser and Python's email. Addresses are
 * compared by a canonical form of its own; imports nothing of `src/`.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { domainToASCII, fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

export const READERS = ['postalMime', 'mailparser', 'python'] as const;

export type ReaderName = (typeof READERS)[number];

/** Texts in which addresses stand, by parser. */
export type Readings = Readonly<Record<ReaderName, readonly string[]>>;

export interface Readers {
  read(bytes: Buffer): Promise<Readings>;
  /** Parsers that gave up on a message, with what they said. */
  readonly faults: readonly string[];
  close(): Promise<void>;
}

const PROGRAM = fileURLToPath(new URL('readers.py', import.meta.url));

export function openReaders(): Readers {
  const faults: string[] = [];
  const python = openPython(faults);
  const thread = openThread(faults);
  return {
    faults,
    async read(bytes) {
      const [parsed, texts] = await Promise.all([thread.read(bytes), python.read(bytes)]);
      return { ...parsed, python: texts };
    },
    async close() {
      await python.close();
      await thread.close();
    },
  };
}

interface Asked<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

function openPython(faults: string[]): {
  read(bytes: Buffer): Promise<readonly string[]>;
  close(): Promise<void>;
} {
  const child: ChildProcess = spawn('python3', ['-I', PROGRAM], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting: Asked<readonly string[]>[] = [];
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('python3 has no pipes');
  stdin.on('error', () => {});
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void exited.then(() => {
    for (const { reject } of waiting.splice(0)) reject(new Error('python3 has ended'));
  });
  child.once('error', (error) => {
    for (const { reject } of waiting.splice(0)) reject(error);
  });
  createInterface({ input: stdout }).on('line', (line) => {
    const answer: readonly string[] | { readonly fault: string } = JSON.parse(line);
    const asked = waiting.shift();
    if ('fault' in answer) {
      faults.push(`python: ${answer.fault}`);
      asked?.resolve([]);
    } else asked?.resolve(answer);
  });
  return {
    read: (bytes) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        stdin.write(`${bytes.toString('base64')}\n`);
      }),
    async close() {
      stdin.end();
      await exited;
    },
  };
}

function openThread(faults: string[]): {
  read(bytes: Buffer): Promise<Omit<Readings, 'python'>>;
  close(): Promise<void>;
} {
  const worker = new Worker(new URL('readers-worker.mjs', import.meta.url));
  const waiting = new Map<number, Asked<Omit<Readings, 'python'>>>();
  let count = 0;
  worker.on('message', ({ number, answers }) => {
    const { fault, ...readings } = answers;
    if (fault !== undefined) faults.push(fault);
    waiting.get(number)?.resolve(readings);
    waiting.delete(number);
  });
  worker.on('error', (error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });
  return {
    read: (bytes) =>
      new Promise((resolve, reject) => {
        const number = ++count;
        waiting.set(number, { resolve, reject });
        const own = new Uint8Array(bytes);
        worker.postMessage({ number, bytes: own }, [own.buffer]);
      }),
    async close() {
      await worker.terminate();
    },
  };
}

/** One text for one mailbox: NFC, lower case, domain in ASCII, local part without quotes. Null for what is none. */
export function canonical(address: string): string | null {
  const text = address.normalize('NFC').trim();
  const at = text.lastIndexOf('@');
  if (at < 1 || at === text.length - 1) return null;
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(text.slice(0, at));
  const local = quoted === null ? text.slice(0, at) : (quoted[1] ?? '').replace(/\\(.)/g, '$1');
  const domain = domainToASCII(
    text
      .slice(at + 1)
      .normalize('NFKC')
      .replace(/\.$/, ''),
  );
  return domain === '' ? null : `${local.toLowerCase()}@${domain}`;
}

const DOMAIN = /^[\p{L}\p{M}\p{N}.-]+/u;
/** What may stand in a local part, quotes aside. */
const LOCAL = /[\p{L}\p{M}\p{N}.!#$%&'*+/=?^_`{|}~-]+$/u;
const LOCAL_MAX = 80;

/** Everybody known whose address stands in this text, however it is set off from what is around it. */
export function knownIn<T>(text: string, known: ReadonlyMap<string, T>): ReadonlySet<string> {
  const found = new Set<string>();
  const plain = text.replaceAll('\uff20', '@').replace(/\s*\([^()@]*\)\s*@\s*\([^()@]*\)\s*/g, '@');
  const whole = canonical(plain);
  if (whole !== null && known.has(whole)) found.add(whole);
  for (let at = plain.indexOf('@'); at >= 0; at = plain.indexOf('@', at + 1)) {
    const before = plain.slice(Math.max(0, at - LOCAL_MAX), at).trimEnd();
    const domain = DOMAIN.exec(plain.slice(at + 1).trimStart())?.[0];
    if (domain === undefined) continue;
    for (const local of localsIn(before))
      for (const end of domainsIn(domain)) {
        const address = canonical(`${local}@${end}`);
        if (address !== null && known.has(address)) found.add(address);
      }
  }
  return found;
}

function localsIn(before: string): readonly string[] {
  const quoted = /"((?:[^"\\]|\\.)*)"$/.exec(before)?.[0];
  if (quoted !== undefined) return [quoted];
  const longest = LOCAL.exec(before)?.[0] ?? '';
  const locals = [longest];
  // A local part with a space has no quotes any more where a parser has taken them away.
  const spaced = /[\w.+-]+ [\w.+-]+$/.exec(before)?.[0];
  if (spaced !== undefined) locals.push(spaced);
  for (let i = 0; i < longest.length - 1; i++)
    if (!/[\p{L}\p{N}]/u.test(longest.charAt(i))) locals.push(longest.slice(i + 1));
  return locals;
}

function domainsIn(longest: string): readonly string[] {
  const domains = [longest.replace(/[.-]+$/, '')];
  for (let at = longest.lastIndexOf('.'); at > 0; at = longest.lastIndexOf('.', at - 1))
    domains.push(longest.slice(0, at));
  return domains;
}
