import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { messageWith, pdf } from '../../test/support/attached-files.ts';
import { runCheck } from './check.ts';

const folder = mkdtempSync(join(tmpdir(), 'check-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, 'latin1');
  return path;
}

const good = file('good.eml', 'From: n@s.test\r\nTo: a@x.test\r\nSubject: x\r\n\r\nHello\r\n');
const leak = file(
  'leak.eml',
  'From: n@s.test\r\nTo: a@x.test, b@x.test\r\nSubject: x\r\n\r\nHello\r\n',
);
const broken = file('broken.eml', 'Once upon a time');

async function run(
  args: readonly string[],
  isTerminal = false,
): Promise<{ status: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    stdout: (text: string): void => void out.push(text),
    stderr: (text: string): void => void err.push(text),
    isTerminal,
  };
  const status = await runCheck(args, io);
  return { status, out: out.join(''), err: err.join('') };
}

describe('check', () => {
  it('ends with 0 when everything passes', async () => {
    const { status, out, err } = await run([good]);
    assert.equal(status, 0);
    assert.match(out, /^pass {5}.*good\.eml\n$/);
    assert.equal(err, '');
  });

  it('ends with 1 and says why, how many, where and what to do', async () => {
    const { status, out } = await run([leak]);
    assert.equal(status, 1);
    assert.match(out, /^refuse .*leak\.eml\n/);
    assert.match(out, /would show recipients to each other\. \[visible-recipients\]/);
    assert.match(out, /would have made 2 disclosures to 2 readers/);
    assert.match(out, /Where: header To/);
    assert.match(out, /What to do: /);
    assert.doesNotMatch(out, /@/);
  });

  it('ends with 2 on a file it cannot read, and reads the rest all the same', async () => {
    const { status, out, err } = await run([broken, join(folder, 'none.eml'), folder, leak, good]);
    assert.equal(status, 2);
    assert.match(out, /refuse .*\n[\s\S]*pass /);
    assert.match(out, /2 messages: 1 refuse, 1 pass\.\n$/);
    assert.equal(err.split('\n').length, 4);
    assert.match(err, /broken\.eml: neither/);
    assert.match(err, /none\.eml: there is no such file\n/);
    assert.match(err, /is a directory/);
  });

  it('writes one JSON document per message and line, addresses only when asked', async () => {
    const { status, out } = await run(['--json', leak, good]);
    assert.equal(status, 1);
    const [first, second] = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(Object.keys(first), ['file', 'index', 'verdict', 'reasons', 'findings']);
    assert.deepEqual(
      [first.file, first.index, first.verdict, first.reasons],
      [leak, 0, 'refuse', ['visible-recipients']],
    );
    assert.deepEqual(Object.keys(first.findings[0]), ['id', 'severity', 'where']);
    assert.deepEqual([second.verdict, second.reasons, second.findings], ['pass', [], []]);
    assert.doesNotMatch(out, /@/);
    const shown = JSON.parse((await run(['--json', '--show-addresses', leak])).out);
    assert.deepEqual(shown.visible.toSorted(), ['a@x.test', 'b@x.test', 'n@s.test']);
  });

  it('reads the text of PDF files', async () => {
    const foreign = file('pdf.eml', messageWith(pdf('Dear bob@y.test')).toString('latin1'));
    assert.match((await run([foreign])).out, /^refuse .*\[foreign-address-attachment\]/s);
    const fine = file('pdf2.eml', messageWith(pdf('Dear customer')).toString('latin1'));
    assert.equal((await run(['--to', 'ann@x.test', fine])).status, 0);
  });

  it('judges by the policy and reader named', async () => {
    assert.equal((await run(['--policy', 'person', leak])).status, 0);
    assert.equal((await run(['--to', 'a@x.test', good])).status, 0);
    assert.equal((await run(['--to', 'z@x.test', good])).status, 1);
    assert.equal((await run(['--role-address', 'a@x.test', '--to', 'z@x.test', good])).status, 0);
  });

  it('says on a terminal what the other policies would decide', async () => {
    const { out } = await run([leak], true);
    assert.match(out, /Under other policies: transactional: refuse, person: pass\./);
  });

  it('says in one line what is wrong with the call', async () => {
    for (const args of [
      [],
      ['--policy', 'x', good],
      ['--to', 'A <a@x.test>', good],
      ['--nonsense'],
      ['--role-address', 'x', good],
    ]) {
      const { status, out, err } = await run(args);
      assert.equal(status, 2);
      assert.equal(out, '');
      assert.match(err, /^undisclosed check: .*\n$/);
    }
  });

  it('explains itself', async () => {
    const { status, out } = await run(['--help']);
    assert.equal(status, 0);
    assert.match(out, /--policy NAME/);
  });
});
