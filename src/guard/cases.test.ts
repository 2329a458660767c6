/**
 * Runs src/detect/*.cases: raw messages with what the detector of the same name must find in them and what the judge must decide.
 * A case begins with `=== the promise`, then lines of circumstances, then the message with LF line ends (sent as CR LF):
 *
 *     > from: bounce@shop.example        MAIL FROM
 *     > to: a@x.test, b@y.test           RCPT TO
 *     > customers: c@z.test              the customer index; > roles: and > domains: likewise
 *     > record: ann@x.test = Ann Smith   what is known of a person
 *     > policy: person                   bulk unless told
 *     > escapes                          \r, \n, \0 and \xNN in the message are undone
 *     > finds: ID SEVERITY COUNT FIELD   one line for each finding, in order; none: nothing is found
 *     > verdict: refuse reason reason
 *
 * UNDISCLOSED_CASES names a folder of further cases, which need not be published.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { DETECTORS } from '../detect/all.ts';
import type { DetectContext, RecordOf } from '../detect/detector.ts';
import { canonicalAddress } from '../mail/address.ts';
import { parseMessage } from '../mail/message.ts';
import { type PolicyName, policyFrom } from '../policy/policy.ts';
import { judge } from './judge.ts';

interface Case {
  readonly name: string;
  readonly given: ReadonlyMap<string, readonly string[]>;
  readonly message: string;
}

const folders = [join(import.meta.dirname, '../detect'), process.env.UNDISCLOSED_CASES ?? ''];
const files = folders
  .filter((folder) => folder !== '' && existsSync(folder))
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((file) => file.endsWith('.cases'));

function readCases(file: string): readonly Case[] {
  const blocks = readFileSync(file, 'utf8').split(/^=== /m).slice(1);
  return blocks.map((block) => {
    const lines = block.split('\n');
    const given = new Map<string, string[]>();
    let index = 1;
    for (; lines[index]?.startsWith('> '); index++) {
      const [, name = '', value = ''] = /^> ([a-z]+)(?:: *(.*))?$/.exec(lines[index] ?? '') ?? [];
      given.set(name, [...(given.get(name) ?? []), value.trim()]);
    }
    const text = lines.slice(index).join('\n').replace(/\n+$/, '\n').replaceAll('\n', '\r\n');
    const message = given.has('escapes') ? undoEscapes(text) : text;
    return { name: lines[0]?.trim() ?? '', given, message };
  });
}

function undoEscapes(text: string): string {
  return text.replace(/\\(?:x([0-9a-f]{2})|([rn0]))/g, (_, hex?: string, letter?: string) =>
    hex === undefined
      ? ({ r: '\r', n: '\n' }[letter ?? ''] ?? '\0')
      : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function list(one: Case, name: string): readonly string[] {
  const text = (one.given.get(name) ?? []).join(',');
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function run(one: Case, detectorName: string): void {
  const bytes = Buffer.from(one.message, one.given.has('latin') ? 'latin1' : 'utf8');
  const customers = new Set(list(one, 'customers').map((text) => canonicalAddress(text)));
  const isCustomer = (canonical: string): boolean => customers.has(canonical);
  const recipients = list(one, 'to');
  const envelope = { from: list(one, 'from')[0] ?? '', recipients, smtpUtf8: false };
  const policy = policyFrom((list(one, 'policy')[0] ?? 'bulk') as PolicyName, {
    roleAddresses: list(one, 'roles'),
    companyDomains: list(one, 'domains'),
    canSplit: one.given.has('split'),
  });
  const records = new Map(
    (one.given.get('record') ?? []).map((line) => {
      const [address = '', name = ''] = line.split(' = ');
      return [address, { names: [name] }] as const;
    }),
  );
  const recordOf: RecordOf = (canonical) => records.get(canonical) ?? null;
  const finds = one.given.get('finds');
  if (finds !== undefined) {
    const readers = new Set(recipients.map((text) => canonicalAddress(text) ?? text));
    const context: DetectContext = {
      envelope,
      reader: readers.size === 1 ? ([...readers][0] ?? null) : null,
      isRecipient: (canonical) => readers.has(canonical),
      isCustomer,
      recordOf,
      allowed: (canonical) => (policy.roleAddresses.includes(canonical) ? 'role' : null),
    };
    const detector = DETECTORS.find(({ name }) => name === detectorName);
    assert.ok(detector, `there is a detector called ${detectorName}`);
    const found = detector.detect(parseMessage(bytes), context);
    const lines = found.map(
      ({ id, severity, count, where }) => `${id} ${severity} ${count} ${where.field}`,
    );
    assert.deepEqual(
      lines,
      finds.filter((line) => line !== 'none'),
    );
  }
  const expected = one.given.get('verdict')?.[0];
  if (expected === undefined) return;
  const { verdict } = judge({ envelope, bytes }, { policy, isCustomer, recordOf });
  const reasons = verdict.kind === 'pass' ? [] : verdict.reasons;
  assert.equal([verdict.kind, ...reasons].join(' '), expected);
}

for (const file of files) {
  const detectorName = basename(file, '.cases');
  describe(`${detectorName}.cases`, () => {
    for (const one of readCases(file)) {
      it(one.name, () => {
        assert.ok(one.given.has('finds') || one.given.has('verdict'), 'the case expects something');
        run(one, detectorName);
      });
    }
  });
}

it('every detector has its cases', () => {
  const names = new Set(files.map((file) => basename(file, '.cases')));
  assert.deepEqual(
    DETECTORS.map(({ name }) => name).filter((name) => !names.has(name)),
    [],
  );
});
