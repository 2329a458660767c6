import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { ran } from '../../test/support/run-cli.ts';
import type { FileItem } from '../gates/files.ts';
import { runCheck } from './check.ts';
import { run as runExtent } from './extent.ts';
import { placeOf, readMailFile } from './mail-file.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mail-file-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const place = path.join(folder, name);
  writeFileSync(place, content);
  return place;
}

const MESSAGE = 'From: n@s.test\r\nTo: a@x.test, b@x.test\r\nSubject: x\r\n\r\nHello\r\n';
const SEPARATOR = 'From n@s.test Fri Nov  1 06:04:00 2019\r\n';
const leak = file('leak.eml', MESSAGE);

async function items(place: string): Promise<FileItem[]> {
  const all: FileItem[] = [];
  for await (const item of readMailFile(place, {})) all.push(item);
  return all;
}

function sparse(name: string, start: string, size: number): string {
  const place = file(name, start);
  truncateSync(place, size);
  return place;
}

const directory = path.join(folder, 'directory');
mkdirSync(directory);
const pipe = path.join(folder, 'pipe');
const hasPipe = spawnSync('sh', ['-c', 'mkfifo "$0"', pipe]).status === 0;
const closed = file('closed.eml', MESSAGE);
chmodSync(closed, 0);
const nowhere = path.join(folder, 'nowhere');
symlinkSync('nowhere', nowhere);
const GIB = 1024 ** 3;

/** Each with the one line it is answered with. */
const BAD: readonly (readonly [name: string, place: string, line: RegExp, skip?: boolean])[] = [
  ['a directory', directory, /directory: is a directory; name the files in it$/],
  ['a pipe nobody writes to', pipe, /pipe: is a pipe; write what comes out of it/, !hasPipe],
  ['a device', '/dev/zero', /\/dev\/zero: is no file but a device or a socket$/],
  ['nothing of this name', path.join(folder, 'none'), /none: there is no such file$/],
  ['a link to itself', nowhere, /nowhere: is a link that leads nowhere$/],
  ['a file closed to this user', closed, /closed\.eml: may not be read/, process.getuid?.() === 0],
  ['an empty file', file('empty', ''), /empty: the file is empty$/],
  [
    'a picture',
    file('picture.eml', Buffer.from('89504e470d0a1a0a0000000d', 'hex')),
    /picture\.eml: neither /,
  ],
  [
    '2 GiB of nothing',
    sparse('large', '\0', 2 * GIB + 1),
    /large: is no mailbox, and larger than 256 MiB$/,
  ],
  [
    'a message of 3 GiB',
    sparse('large.eml', MESSAGE, 3 * GIB),
    /large\.eml: is no mailbox, and larger/,
  ],
  [
    'a mailbox entry cut off in its separator',
    file('cut.mbox', SEPARATOR.trimEnd()),
    /cut\.mbox: a mailbox entry without a message$/,
  ],
];

describe('bad files among good ones', () => {
  for (const [name, place, line, skip = false] of BAD) {
    it(`${name} has one clear line, and the rest goes on`, { skip }, async () => {
      for (const command of [runCheck, runExtent]) {
        const { status, out, err } = await ran(command, [place, leak]);
        assert.equal(status, 2);
        assert.match(err, /^undisclosed (?:check|extent): [^\n]*\n$/);
        assert.match(err.trimEnd(), line);
        assert.match(out, /refuse .*leak\.eml|^2 people were exposed to 2 people by 1 message/);
      }
    });
  }

  it('a mailbox cut off in the middle of a message gives every whole message, and what there is of the last', async () => {
    const second = MESSAGE.replace('b@x.test', 'c@x.test');
    const whole = `${SEPARATOR}${MESSAGE}\r\n${SEPARATOR}${second}`;
    const cut = file('middle.mbox', whole.slice(0, whole.lastIndexOf('\r\nSubject')));
    const { status, out, err } = await ran(runExtent, ['--json', cut]);
    assert.deepEqual([status, err], [1, '']);
    assert.deepEqual(JSON.parse(out).messages, 2);
    assert.equal((await ran(runCheck, [cut])).out.match(/^refuse/gm)?.length, 2);
  });
});

describe('a file in pieces', () => {
  it('loses no message wherever the pieces end, and numbers them all', async () => {
    // Sizes around the 256 KiB of one read: a separator falls on every place of its edge.
    for (const padding of [262_144, 262_144 - 60, 524_288 - 130, 700_000]) {
      const messages = Array.from({ length: 40 }, (_, each) => {
        // A line that begins like a separator is none without an empty line before it.
        const lines = `${'x'.repeat(47)}\r\nFrom here on, 10:00\r\n`;
        const body = lines.repeat(Math.ceil(padding / 72 / (1 + (each % 7))));
        return `${SEPARATOR}From: n@s.test\r\nTo: a${each}@x.test\r\n\r\n${body}${'y'.repeat(each)}\r\n\r\n`;
      });
      const read = await items(file('pieces.mbox', messages.join('')));
      assert.equal(read.length, 40);
      for (const [each, item] of read.entries()) {
        assert.equal(item.index, each);
        assert.ok(item.kind === 'message');
        const text = Buffer.from(item.copies[0]?.bytes ?? []).toString();
        assert.ok(text.includes(`To: a${each}@x.test`), `${padding}: ${each}`);
        assert.ok(text.endsWith(`${'y'.repeat(each)}\r\n`), `${padding}: ${each}`);
      }
    }
  });

  it('a mailbox is never in memory as a whole: what is cut off behind the reader is not there', async () => {
    const message = `${SEPARATOR}${MESSAGE}${'x'.repeat(60_000)}\r\n\r\n`;
    const place = file('growing.mbox', message.repeat(100));
    let count = 0;
    for await (const item of readMailFile(place, {})) {
      assert.equal(item.kind, 'message');
      if (count++ === 0) truncateSync(place, 1_000_000);
    }
    assert.ok(count > 5 && count < 20, `${count} messages`);
  });

  it('a log of calls is read line by line, a line that is none is said, and the rest is read', async () => {
    const call = (person: number) =>
      JSON.stringify({ From: 'n@s.test', To: `a${person}@x.test`, TextBody: 'x'.repeat(5_000) });
    const lines = Array.from({ length: 300 }, (_, each) => (each === 150 ? '{"a":1}' : call(each)));
    const read = await items(file('calls.jsonl', `${lines.join('\n')}\n`));
    assert.equal(read.length, 300);
    const bad = read.filter(({ kind }) => kind === 'unreadable');
    assert.deepEqual(
      bad.map((item) => placeOf('calls.jsonl', item)),
      ['calls.jsonl, message 151'],
    );
  });

  it('one large message is read once, and not again with every piece of it', async () => {
    const large = `${MESSAGE}${`${'x'.repeat(76)}\r\n`.repeat(800_000)}`;
    for (const text of [large, `${SEPARATOR}${large}`]) {
      const place = file('one.eml', text);
      const before = process.cpuUsage().user;
      const [item, second] = await items(place);
      assert.ok(item?.kind === 'message' && second === undefined);
      assert.equal(item.copies[0]?.bytes.length, large.length);
      assert.ok(process.cpuUsage().user - before < 10_000_000);
    }
  });

  it('what the shell hands over is read: standard input, and <(…)', { skip: !hasPipe }, () => {
    const launcher = path.join(import.meta.dirname, '../main.ts');
    const input = openSync(leak, 'r');
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [launcher, 'check', ...args], {
        stdio: [input, 'pipe', 'pipe'],
        encoding: 'utf8',
      });
    assert.match(run('/dev/stdin').stdout, /^refuse /);
    closeSync(input);
    const shell = spawnSync(
      'bash',
      ['-c', `"${process.execPath}" "${launcher}" check <(cat "${leak}")`],
      { encoding: 'utf8' },
    );
    assert.match(shell.stdout, /^refuse /, shell.stderr);
  });
});
