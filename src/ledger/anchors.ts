/**
 * Anchors: places outside the database that keep every checkpoint, so that its administrator can neither shorten the
 * ledger nor write it anew without it being seen there.
 */

import { execFile } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '../base/errors.ts';
import type { Database } from '../store/database.ts';
import {
  checkpointsAfter,
  findAnchor,
  recordAnchored,
  recordAnchorFailure,
} from '../store/ledger-entries.ts';

export type Anchor =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'https'; readonly url: string }
  | { readonly kind: 'git'; readonly directory: string };

const BATCH = 1000;
const POST_LIMIT_MS = 30_000;
const GIT_LIMIT_MS = 60_000;
/** In a Git anchor each machine writes its own file. */
const GIT_FILE = `checkpoints-${os.hostname().replace(/[^\w.-]/g, '_')}.txt`;
const runProgram = promisify(execFile);

/** How an anchor is called in the database and in messages; without a URL's user and query. */
export function anchorName(anchor: Anchor): string {
  if (anchor.kind === 'file') return `file:${os.hostname()}:${path.resolve(anchor.path)}`;
  if (anchor.kind === 'git') return `git:${os.hostname()}:${path.resolve(anchor.directory)}`;
  const { origin, pathname } = new URL(anchor.url);
  return `${origin}${pathname}`;
}

/**
 * Appends every checkpoint that the anchor has not taken yet, oldest first, notes apart by an empty line. Notes the
 * success or the failure in the database; a failure is tried again with the next call.
 * @returns the size it has taken up to, or null when it failed.
 */
export async function bringUpToDate(
  db: Database,
  anchor: Anchor,
  now: () => Date,
): Promise<number | null> {
  const name = anchorName(anchor);
  let taken = (await findAnchor(db, name))?.size ?? 0;
  for (;;) {
    const pending = await checkpointsAfter(db, taken, BATCH);
    const last = pending.at(-1);
    if (last === undefined) return taken;
    try {
      await append(anchor, pending.map(({ note }) => `${note}\n`).join(''));
    } catch (error) {
      await recordAnchorFailure(db, name, reasonOf(error), now());
      return null;
    }
    taken = last.size;
    await recordAnchored(db, name, taken, now());
  }
}

function append(anchor: Anchor, notes: string): Promise<void> {
  if (anchor.kind === 'file') return appendFile(anchor.path, notes);
  if (anchor.kind === 'https') return post(anchor.url, notes);
  return commit(anchor.directory, notes);
}

async function appendFile(file: string, notes: string): Promise<void> {
  const handle = await open(file, 'a', 0o644);
  try {
    await handle.writeFile(notes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function post(url: string, notes: string): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    body: notes,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    signal: AbortSignal.timeout(POST_LIMIT_MS),
    redirect: 'error',
  });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Fault('anchor.refused', `it answered ${answer.status}`);
}

async function commit(directory: string, notes: string): Promise<void> {
  const file = path.join(directory, GIT_FILE);
  const before = await readFile(file, 'utf8').catch(() => '');
  // A push that failed last time left its notes committed here.
  if (!before.endsWith(notes)) await appendFile(file, notes);
  await git(directory, 'add', '--', GIT_FILE);
  const changed = await git(directory, 'status', '--porcelain', '--', GIT_FILE);
  if (changed !== '')
    await git(directory, 'commit', '--quiet', '--message', 'Checkpoints', '--', GIT_FILE);
  try {
    await git(directory, 'push', '--quiet');
  } catch {
    // Another machine was faster; it writes another file.
    await git(directory, 'pull', '--quiet', '--rebase');
    await git(directory, 'push', '--quiet');
  }
}

async function git(directory: string, ...args: string[]): Promise<string> {
  const identity = ['-c', 'user.name=undisclosed', '-c', 'user.email=ledger@undisclosed.invalid'];
  // Without the variable, git asks for a password where there is a terminal.
  const { stdout } = await runProgram(
    '/usr/bin/env',
    ['GIT_TERMINAL_PROMPT=0', 'git', ...identity, '-C', directory, ...args],
    { timeout: GIT_LIMIT_MS },
  );
  return stdout;
}

function reasonOf(error: unknown): string {
  if (error instanceof Fault) return error.message;
  const { code, cause, stderr } = error as {
    code?: unknown;
    cause?: { code?: unknown };
    stderr?: string;
  };
  if (typeof stderr === 'string' && stderr !== '') return stderr.trim().split('\n').at(-1) ?? '';
  return String(cause?.code ?? code ?? (error as Error).name);
}
