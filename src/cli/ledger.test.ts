import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { type LedgerExportRequest, runLedger } from './ledger.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'cli-ledger-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function run(
  args: readonly string[],
  lines: (request: LedgerExportRequest) => AsyncIterable<string> = () => {
    throw new Error('no export was expected');
  },
): Promise<{ status: number; out: string; error: string }> {
  let out = '';
  let error = '';
  const io = {
    stdout: (text: string) => {
      out += text;
    },
    stderr: (text: string) => {
      error += text;
    },
  };
  const status = await runLedger(args, io, lines);
  return { status, out, error };
}

async function* threeLines(): AsyncGenerator<string> {
  yield 'a\n';
  yield 'b\n';
  yield 'c\n';
}

async function* failing(): AsyncGenerator<string> {
  yield 'a\n';
  throw new Fault('ledger.empty', 'there is none', { remedy: 'start it' });
}

test('a bundle is written whole, to standard output or to a file', async () => {
  assert.deepEqual(await run(['export'], threeLines), { status: 0, out: 'a\nb\nc\n', error: '' });
  const file = path.join(folder, 'bundle.jsonl');
  const result = await run(['export', '--out', file, '--checkpoints', '5'], (request) => {
    assert.equal(request.checkpoints, 5);
    return threeLines();
  });
  assert.equal(result.status, 0);
  assert.equal(readFileSync(file, 'utf8'), 'a\nb\nc\n');
});

test('an export that fails leaves no file and one clear line', async () => {
  const file = path.join(folder, 'failed.jsonl');
  const result = await run(['export', '--out', file], failing);
  assert.deepEqual(result, {
    status: 2,
    out: '',
    error: 'ledger export: there is none (start it)\n',
  });
  assert.ok(!existsSync(file));
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('failed')),
    [],
  );
});

test('what is not understood cannot run, in one line', async () => {
  for (const args of [
    ['export', '--checkpoints', '0'],
    ['export', '--nope'],
    ['unknown'],
    ['verify'],
  ]) {
    const result = await run(args, threeLines);
    assert.equal(result.status, 2, args.join(' '));
    assert.match(result.error, /^ledger.*\n$/);
    assert.equal(result.out, '');
  }
});

test('help is on standard output', async () => {
  const { status, out } = await run(['--help']);
  assert.equal(status, 0);
  assert.match(out, /ledger verify BUNDLE/);
});
