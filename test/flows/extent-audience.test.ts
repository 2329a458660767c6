/** From leaked messages to a prepared notice: what `extent --audience` writes is imported, selected, frozen and prepared as it is. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../../src/cli/extent.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type House, openHouse } from '../support/house.ts';
import { ran } from '../support/run-cli.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'extent-audience-'));
let database: TestDatabase;
let house: House;
before(async () => {
  database = await testDatabase();
  house = await openHouse(database.db);
});
after(async () => {
  await house.close();
  await database.drop();
  rmSync(folder, { recursive: true });
});

/** The worked example of docs/extent.md. */
const NOTICE = {
  'notice.json': JSON.stringify({
    name: 'addresses-shown',
    class: 'legal',
    from: { name: 'Northwind Exchange', address: 'notices@northwind.example' },
    subject: "{{ 'subject' | t }}",
    languages: ['en'],
    defaultLanguage: 'en',
    roleAddresses: ['notices@northwind.example'],
    fields: { seen_by: 'number' },
  }),
  'notice.txt': "{{ 'shown' | t: count: customer.seen_by }}\n",
  'notice.html': "<p>{{ 'shown' | t: count: customer.seen_by }}</p>\n",
  'messages/en.json': JSON.stringify({
    subject: 'Your address was shown to other customers',
    shown:
      '{count, plural, one {Your e-mail address was shown to one other customer.} other {Your e-mail address was shown to # other customers.}}',
  }),
};

test('exposed people are imported from the audience file, selected by it, and each has a notice prepared', async () => {
  const people = Array.from({ length: 30 }, (_, n) => `customer.${n}@mail${n % 3}.example`);
  const leak = path.join(folder, 'leak.eml');
  const list = people.join(',\r\n ');
  writeFileSync(
    leak,
    `From: notices@northwind.example\r\nTo: ${list}\r\nSubject: x\r\n\r\nHello\r\n`,
  );
  const audience = path.join(folder, 'exposed.csv');
  const { status, out, err } = await ran(run, ['--audience', audience, leak]);
  assert.equal(status, 1);
  assert.doesNotMatch(out + err, /@/);
  const csv = readFileSync(audience, 'utf8');
  const id = /\r\n(x-\w+)-1,/.exec(csv)?.[1] ?? '';

  // Customers the leak did not show are in the register too.
  await house.importCsv('id,email\n1,other.1@mail.example\n2,customer.3@mail0.example\n');
  const report = await house.importCsv(csv);
  assert.deepEqual([report.read, report.added, report.rejected], [30, 30, 0]);
  const selection = { where: [{ field: 'extent', equals: id }] };
  const broadcast = await house.create(NOTICE, 25, { selection });
  const prepared = await house.prepare(broadcast);
  assert.deepEqual([prepared.kind, prepared.count], ['prepared', 30], JSON.stringify(prepared));
});
