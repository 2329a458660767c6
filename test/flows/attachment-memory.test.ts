/** What opening the attachments of one message costs, measured in a process of its own. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { messageWith, zipOf } from '../support/attached-files.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'attachments-'));
after(() => rmSync(folder, { recursive: true }));
const CHECK = path.join(import.meta.dirname, '../../src/cli/check.ts');
const PROGRAM = `
  import { readFileSync } from 'node:fs';
  const { runCheck } = await import(${JSON.stringify(CHECK)});
  let out = '';
  const io = { stdout: (text) => { out += text; }, stderr: (text) => { out += text; }, isTerminal: false };
  await runCheck(['--json', process.argv[1]], io);
  const status = readFileSync('/proc/self/status', 'utf8');
  const peakMb = Number(/VmHWM:\\s+(\\d+) kB/.exec(status)[1]) / 1024;
  console.log(JSON.stringify({ peakMb, ...JSON.parse(out) }));
`;
/** Of the issue of a guard that opens what strangers pack: no file over 256 MB. Half of it is the program itself. */
const PEAK_MB = 256;

function checked(name: string, message: Uint8Array): { peakMb: number; reasons: string[] } {
  const file = path.join(folder, name);
  writeFileSync(file, message);
  // As the launcher starts it.
  const args = ['--max-semi-space-size=4', '--input-type=module', '-e', PROGRAM, file];
  const env = { ...process.env, MALLOC_ARENA_MAX: '2' };
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env });
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout);
}

describe('attachments cost a bounded amount of memory', {
  skip: process.platform !== 'linux',
}, () => {
  it('a zipped table of 100,000 customers, every row read', () => {
    let csv = 'id,name,email,telephone,city\r\n';
    for (let row = 0; row < 100_000; row++) {
      csv += `${row},Customer ${row},customer.${row}@mail${row % 40}.example,+44 20 7946 ${row},Town\r\n`;
    }
    const { peakMb, reasons } = checked('csv', messageWith(zipOf({ 'customers.csv': csv })));
    assert.deepEqual(reasons.toSorted(), ['customer-list', 'foreign-address-attachment']);
    assert.ok(peakMb < PEAK_MB, `${peakMb} MB`);
  });

  it('a workbook of 220,000 rows: what is beyond the budget is said to be unread', () => {
    let sheet = '<worksheet>';
    for (let row = 0; row < 220_000; row++) {
      sheet += `<row><c t="inlineStr"><is><t>customer.${row}@mail${row % 40}.example</t></is></c></row>`;
    }
    const content = zipOf({ '[Content_Types].xml': '<Types/>', 'xl/worksheets/sheet1.xml': sheet });
    const { peakMb, reasons } = checked('xlsx', messageWith(content));
    assert.ok(reasons.includes('unreadable-attachment'), reasons.join());
    assert.ok(reasons.includes('foreign-address-attachment'), reasons.join());
    assert.ok(peakMb < PEAK_MB, `${peakMb} MB`);
  });

  it('10 MB of nothing but addresses, and a bomb of 64 MB', () => {
    const addresses: string[] = [];
    for (let each = 0; each < 600_000; each++) addresses.push(`a${each}@m${each % 97}.example`);
    const text = addresses.join('\n');
    for (const content of [text, Buffer.alloc(64_000_000)]) {
      const { peakMb, reasons } = checked('large', messageWith(zipOf({ 'a.txt': content })));
      assert.ok(reasons.includes('unreadable-attachment'), reasons.join());
      assert.ok(peakMb < PEAK_MB, `${peakMb} MB`);
    }
  });
});
