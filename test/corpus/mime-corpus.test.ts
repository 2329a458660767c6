/**
 * Real and malformed messages of other projects' test sets, from the folder that
 * UNDISCLOSED_CORPORA names (see `npm run corpora`), and what two other parsers show of them.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AddressObject, simpleParser } from 'mailparser';
import PostalMime, { type Address as PostalAddress } from 'postal-mime';
import { canonicalAddress } from '../../src/mail/address.ts';
import { readAddressList } from '../../src/mail/address-list.ts';
import { allParts, type ParsedMessage, parseMessage } from '../../src/mail/message.ts';

const root = process.env.UNDISCLOSED_CORPORA ?? '';
const folders = ['mime', 'eai', 'bounces'].map((name) => join(root, name));
const missing = root === '' || !existsSync(join(root, 'mime'));
const skip = missing ? 'UNDISCLOSED_CORPORA names no folder with the mime/ test set' : false;
const LIST_FIELDS = ['from', 'sender', 'reply-to', 'to', 'cc', 'bcc'];

interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
}

function samples(): readonly Sample[] {
  return folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((file) => !/\.(?:tsv|md)$/.test(file))
    .map((file) => ({ name: file.slice(root.length + 1), bytes: asSent(readFileSync(file)) }));
}

/** A file kept with LF goes over the wire with CRLF; otherwise all would have that one defect. */
function asSent(bytes: Buffer): Buffer {
  if (bytes.includes('\r\n')) return bytes;
  return Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

/** The canonical addresses that our reading shows in the fields that name people. */
function sightingsIn(message: ParsedMessage, names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const field of message.headers) {
    if (!names.includes(field.lower)) continue;
    for (const text of readAddressList(field).sightings) found.add(comparable(text));
  }
  return found;
}

function comparable(text: string): string {
  return canonicalAddress(text) ?? text.normalize('NFC').toLowerCase();
}

async function shownByPostalMime(bytes: Buffer): Promise<readonly string[]> {
  const mail = await PostalMime.parse(bytes);
  const entries: (PostalAddress | undefined)[] = [
    mail.from,
    mail.sender,
    ...(mail.replyTo ?? []),
    ...(mail.to ?? []),
    ...(mail.cc ?? []),
    ...(mail.bcc ?? []),
  ];
  return entries
    .flatMap((entry) => (entry === undefined ? [] : [entry, ...(entry.group ?? [])]))
    .map((entry) => entry.address ?? '')
    .filter((address) => address.includes('@'));
}

async function shownByMailparser(bytes: Buffer): Promise<readonly string[]> {
  const mail = await simpleParser(bytes, { skipHtmlToText: true, skipTextToHtml: true });
  const lists: (AddressObject | AddressObject[] | undefined)[] = [
    mail.from,
    mail.replyTo,
    mail.to,
    mail.cc,
    mail.bcc,
  ];
  return lists
    .flatMap((list) => list ?? [])
    .flatMap((list) => list.value)
    .flatMap((entry) => [entry, ...(entry.group ?? [])])
    .map((entry) => entry.address ?? '')
    .filter((address) => address.includes('@'));
}

test('every message of the public test sets is read whole, in under a second', { skip }, () => {
  const all = samples();
  assert.ok(all.length > 200, 'the test set is there');
  for (const { name, bytes } of all) {
    const started = performance.now();
    const message = parseMessage(bytes);
    const defects = message.defects.length;
    const parts = allParts(message);
    for (const part of parts) {
      assert.ok(
        part.texts.every((text) => typeof text === 'string'),
        name,
      );
      assert.ok(part.content.length >= 0, name);
      for (const field of part.headers) assert.equal(typeof field.decoded, 'string', name);
    }
    const elapsed = performance.now() - started;
    assert.ok(elapsed < 1_000, `${name}: ${elapsed} ms, ${parts.length} parts, ${defects} defects`);
  }
});

test('an address another parser shows is among our sightings, or there is a defect', {
  skip,
}, async () => {
  let compared = 0;
  for (const { name, bytes } of samples()) {
    const message = parseMessage(bytes);
    const ours = sightingsIn(message, LIST_FIELDS);
    const theirs = [...(await shownByPostalMime(bytes)), ...(await shownByMailparser(bytes))];
    for (const address of theirs) {
      compared++;
      if (ours.has(comparable(address)) || message.defects.length > 0) continue;
      assert.fail(`${name}: an address that another parser shows is neither seen nor a defect`);
    }
  }
  assert.ok(compared > 500, `${compared} addresses were compared`);
});

test('an address another parser shows is missed in few messages, defects or not', {
  skip,
}, async () => {
  const misses: string[] = [];
  for (const { name, bytes } of samples()) {
    const ours = sightingsIn(parseMessage(bytes), LIST_FIELDS);
    const theirs = [...(await shownByPostalMime(bytes)), ...(await shownByMailparser(bytes))];
    if (theirs.some((address) => !ours.has(comparable(address)))) misses.push(name);
  }
  assert.ok(misses.length <= 2, misses.join('\n'));
});

/** What looks like an address in a message and is none: its identifiers and boundaries. */
function identifiersOf(message: ParsedMessage): readonly string[] {
  return allParts(message).flatMap((part) => [
    part.parameters.get('boundary') ?? '',
    ...part.headers
      .filter(({ lower }) => lower === 'message-id' || lower === 'content-id')
      .map(({ value }) => value.replace(/^<|>$/g, '')),
  ]);
}

test('no Message-ID, Content-ID or boundary is taken for an address in To or Cc', { skip }, () => {
  let compared = 0;
  for (const { name, bytes } of samples()) {
    const message = parseMessage(bytes);
    const ours = sightingsIn(message, ['to', 'cc']);
    const ids = identifiersOf(message).filter((id) => id.includes('@'));
    compared += ids.length;
    assert.ok(!ids.some((id) => ours.has(comparable(id))), name);
  }
  assert.ok(compared > 100, `${compared} identifiers were looked for`);
});
