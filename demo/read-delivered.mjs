/**
 * An independent reading of what was delivered. Shares no code with the sender: its own MIME, its own addresses.
 *
 *     node demo/read-delivered.mjs DELIVERED_DIR CUSTOMERS.csv [MISTAKE.eml|MISTAKE.json …]
 *
 * Prints one JSON. Before it counts it plants a foreign address in copies, in every coding it claims to read;
 * one that is not found is an error and nothing is counted. Output holds counts and record ids, never an address.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Addresses, addressesIn, peopleIn, readersIn } from './delivered/addresses.mjs';
import { headerValue, openMessage } from './delivered/mime.mjs';
import { plantings } from './delivered/plantings.mjs';

/** More recipients than any envelope has. */
const RECIPIENTS_MAX = 100_000;

/** Cells of one CSV text (RFC 4180), row by row. */
function* csvRows(text) {
  const cell = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/gy;
  let row = [];
  while (cell.lastIndex < text.length) {
    const match = cell.exec(text);
    if (match === null) throw new Error(`the CSV's quotes do not close, near row "${row[0]}"`);
    row.push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
    if (match[3] === ',') continue;
    yield row;
    row = [];
  }
}

/** The customers of a CSV with the columns `id` and `email`. */
export function readCustomers(path) {
  const rows = csvRows(readFileSync(path, 'utf8').replace(/^\uFEFF/, ''));
  const names = rows.next().value ?? [];
  const [id, email] = [names.indexOf('id'), names.indexOf('email')];
  if (id < 0 || email < 0) throw new Error(`${path} line 1: the columns id and email are wanted`);
  const customers = new Addresses();
  const ids = [];
  for (const row of rows) {
    if (row.length < 2) continue;
    const number = customers.add(row[email]);
    ids[number] ??= row[id];
  }
  return { customers, ids };
}

/** Everything that somebody who opens the message can read, as texts. */
export function textsOf(bytes) {
  const { header, texts } = openMessage(bytes);
  return { header, texts: [bytes.toString('utf8'), ...texts] };
}

/** Numbers of the customers whose address stands anywhere in the message, in any coding. */
export function shownIn(bytes, customers) {
  const shown = new Set();
  for (const text of textsOf(bytes).texts)
    for (const number of peopleIn(text, customers)) shown.add(number);
  return shown;
}

/** Each reader's groups, and the highest number of a person shown. */
function byReader(groups) {
  const groupsOf = new Map();
  let highest = -1;
  for (const group of groups) {
    for (const person of group.shown) highest = Math.max(highest, person);
    for (const reader of new Set(group.readers)) {
      const own = groupsOf.get(reader);
      if (own === undefined) groupsOf.set(reader, [group]);
      else own.push(group);
    }
  }
  return { groupsOf, highest };
}

/**
 * Distinct ordered pairs (person shown, other reader) over groups { shown, readers } of numbers.
 * A stamp per person instead of a set of pairs: 22 batches of 1,000 are 22 million pairs.
 */
export function countPairs(groups) {
  const { groupsOf, highest } = byReader(groups);
  const seenBy = new Float64Array(highest + 1).fill(Number.NaN);
  let pairs = 0;
  for (const [reader, itsGroups] of groupsOf)
    for (const { shown } of itsGroups)
      for (const person of shown) {
        if (person === reader || seenBy[person] === reader) continue;
        seenBy[person] = reader;
        pairs++;
      }
  return pairs;
}

/** Fails unless a planted address is found in every coding, in copies of a delivered message and in a made-up one. */
export function provePlantedIsFound(sample) {
  const strange = ['Planted.Person+tag@Somewhere-Else.example', 'подсадной.用户@bücher.example'];
  let found = 0;
  for (const address of strange) {
    const customers = new Addresses();
    const planted = customers.add(address);
    if (shownIn(sample, customers).size > 0) throw new Error('the sample already shows the person');
    for (const { name, bytes } of plantings(sample, address)) {
      if (!shownIn(bytes, customers).has(planted))
        throw new Error(`cannot find an address written as: ${name}; nothing was counted`);
      found++;
    }
  }
  return found;
}

/** Splits at commas outside quoted local parts. */
function splitRecipients(text) {
  return text.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
}

/** Envelopes by file number; later lines with the same number are the same file's. */
function readEnvelopes(directory) {
  const path = join(directory, 'envelopes.tsv');
  const envelopes = new Map();
  if (!existsSync(path)) throw new Error(`${path} is missing: the envelopes are wanted`);
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [number, , recipients] = line.split('\t');
    if (recipients !== undefined) envelopes.set(number, splitRecipients(recipients));
  }
  return envelopes;
}

function emptyCounts() {
  return {
    messages: 0,
    withoutEnvelope: 0,
    withoutFile: 0,
    moreThanOneRecipient: 0,
    moreThanOneVisible: 0,
    toIsNotTheReader: 0,
    strangers: 0,
    duplicates: 0,
    languages: {},
  };
}

/** Counts what the header says; returns the people it names in To and Cc. */
function countHeader(header, counts) {
  const language = headerValue(header, 'content-language') ?? 'none';
  counts.languages[language] = (counts.languages[language] ?? 0) + 1;
  const visible = new Set(
    header
      .filter(({ name }) => /^(?:resent-)?(?:to|cc)$/.test(name))
      .flatMap(({ value }) => readersIn(value)),
  );
  if (visible.size > 1) counts.moreThanOneVisible++;
  return visible;
}

/** Reads one message into the counts; returns its group of shown people and readers. */
function readOne(bytes, envelope, { customers, timesReached }, counts) {
  counts.messages++;
  const { header, texts } = textsOf(bytes);
  const visible = countHeader(header, counts);
  if (envelope === undefined) counts.withoutEnvelope++;
  const recipients = envelope ?? [];
  if (recipients.length > 1) counts.moreThanOneRecipient++;
  const readers = recipients.map((address, at) => {
    if (visible.size > 0 && !visible.has(Addresses.canonical(address))) counts.toIsNotTheReader++;
    const reader = customers.find(address);
    if (reader === undefined) {
      counts.strangers++;
      // A stranger who reads a customer's address is a reader too: numbered below zero, one for each.
      return -1 - counts.messages * RECIPIENTS_MAX - at;
    }
    timesReached[reader] = (timesReached[reader] ?? 0) + 1;
    return reader;
  });
  const shown = new Set();
  for (const text of texts) for (const number of peopleIn(text, customers)) shown.add(number);
  return { shown, readers };
}

/** Counts a delivered directory against the customers' CSV. */
export function readDelivered(directory, customersCsv) {
  const { customers, ids } = readCustomers(customersCsv);
  const envelopes = readEnvelopes(directory);
  const files = readdirSync(directory)
    .filter((name) => name.endsWith('.eml'))
    .sort();
  const sample = files.length > 0 ? readFileSync(join(directory, files[0])) : Buffer.alloc(0);
  const plantedAndFound =
    provePlantedIsFound(Buffer.from('Subject: made up\r\n\r\nnothing\r\n')) +
    (sample.length > 0 ? provePlantedIsFound(sample) : 0);
  const counts = emptyCounts();
  const timesReached = [];
  const groups = [];
  for (const file of files) {
    const number = file.slice(0, -4);
    const bytes = readFileSync(join(directory, file));
    const group = readOne(bytes, envelopes.get(number), { customers, timesReached }, counts);
    envelopes.delete(number);
    if (group.shown.size > 0) groups.push(group);
  }
  counts.withoutFile = envelopes.size;
  const missing = ids.filter((_, number) => timesReached[number] === undefined);
  counts.duplicates = timesReached.reduce((sum, times) => sum + Math.max(0, times - 1), 0);
  return {
    plantedAndFound,
    customers: customers.size,
    people: customers.size - missing.length,
    missing: missing.length,
    missingIds: missing.slice(0, 10),
    ...counts,
    ownAddressShown: groups.filter(({ shown, readers }) => readers.some((one) => shown.has(one)))
      .length,
    disclosures: countPairs(groups),
  };
}

/** Groups of one mistaken submission kept as a file: an .eml, or the JSON of a provider's send call. */
function groupsOfMistake(path, people, customers) {
  const bytes = readFileSync(path);
  // Where the customers are known, only they count: the company's own addresses are no people shown.
  const isPerson = (address) => customers.size === 0 || customers.find(address) !== undefined;
  const add = (address) => people.add(address);
  const known = (text) => [...peopleIn(text, customers)].map((number) => add(customers.at(number)));
  if (path.endsWith('.json')) {
    const call = JSON.parse(bytes.toString('utf8'));
    if (!Array.isArray(call.personalizations))
      throw new Error(`${path}: no personalizations in this JSON`);
    const inBody = known((call.content ?? []).map(({ value }) => value).join('\n'));
    return call.personalizations.map(({ to = [], cc = [], bcc = [] }) => {
      const listed = (list) =>
        list
          .map(({ email }) => email)
          .filter(isPerson)
          .map(add);
      const visible = listed([...to, ...cc]);
      return { shown: [...visible, ...inBody], readers: [...visible, ...listed(bcc)] };
    });
  }
  const { header, texts } = textsOf(bytes);
  const named = (pattern) =>
    header
      .filter(({ name }) => pattern.test(name))
      .flatMap(({ value }) => readersIn(value))
      .filter(isPerson)
      .map(add);
  const visible = named(/^(?:resent-)?(?:to|cc)$/);
  const readers = [...visible, ...named(/^(?:resent-)?bcc$/)];
  return [{ shown: [...visible, ...texts.flatMap(known)], readers }];
}

/**
 * What mistaken submissions would have shown: distinct ordered pairs (person shown, other reader) over all files.
 * @param customers the customers: only they count then, in the body too.
 */
export function countWouldBe(files, customers = new Addresses()) {
  const people = new Addresses();
  const groups = files.flatMap((path) => groupsOfMistake(path, people, customers));
  return { files: files.length, people: people.size, disclosures: countPairs(groups) };
}

function main([directory, customersCsv, ...mistakes]) {
  if (customersCsv === undefined) {
    process.stderr.write('usage: node demo/read-delivered.mjs DIR CUSTOMERS.csv [MISTAKE …]\n');
    return 2;
  }
  try {
    const result = readDelivered(directory, customersCsv);
    if (mistakes.length > 0)
      result.wouldBe = countWouldBe(mistakes, readCustomers(customersCsv).customers);
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

export { Addresses, addressesIn };

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.exitCode = main(process.argv.slice(2));
