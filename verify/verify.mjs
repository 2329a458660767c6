#!/usr/bin/env node
/**
 * Verifies a ledger bundle of Undisclosed, offline and alone: this one file, Node 18 or later, nothing else.
 *
 *     node verify.mjs BUNDLE [--anchor FILE] [--key FINGERPRINT] [--json]
 *
 * It recomputes the Merkle tree (RFC 6962) over every entry, holds it against every signed checkpoint (C2SP
 * tlog-checkpoint, Ed25519), checks the rows and leaves that entries stand for, the approvals' signatures, and that
 * each broadcast adds up. Exit status: 0 verified, 1 not verified, 2 cannot run.
 *
 * What the bundle alone cannot show: that nothing was cut off its end, and that it was not written anew by whoever
 * holds the key. --anchor takes a file with checkpoints seen earlier and finds both; --key takes the fingerprint of the
 * key as you know it from elsewhere.
 */

import * as crypto from 'node:crypto';
import { createReadStream, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FINAL = [
  'accepted',
  'refused',
  'expired',
  'undeliverable',
  'suppressed',
  'withdrawn',
  'cancelled',
];
const OPEN = ['waiting', 'deferred', 'in flight', 'uncertain'];
const STATES = ['no outcome', ...FINAL, ...OPEN];
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PROBLEMS_SHOWN = 20;
const COUNT_MAX = 1_000_000_000;

// --- The tree (RFC 6962 section 2.1) ---

const sha256 = crypto.hash
  ? (bytes) => crypto.hash('sha256', bytes, 'buffer')
  : (bytes) => crypto.createHash('sha256').update(bytes).digest();
const leafOf = (text) => sha256(Buffer.from(`\0${text}`, 'utf8'));
const nodeOf = (left, right) => sha256(Buffer.concat([Buffer.of(1), left, right]));

class Tree {
  size = 0;
  roots = [];

  append(leaf) {
    let node = leaf;
    for (let rest = this.size; rest % 2 === 1; rest = (rest - 1) / 2)
      node = nodeOf(this.roots.pop(), node);
    this.roots.push(node);
    this.size++;
  }

  root() {
    if (this.size === 0) return sha256(Buffer.alloc(0));
    return this.roots.reduceRight((right, left) => nodeOf(left, right));
  }
}

// --- Canonical JSON (RFC 8785) ---

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
}

function parseCanonical(text) {
  try {
    const value = JSON.parse(text);
    return canonical(value) === text && text.isWellFormed?.() !== false ? value : null;
  } catch {
    return null;
  }
}

// --- Keys and notes (C2SP signed-note, tlog-checkpoint) ---

function base64(text, bytes) {
  if (typeof text !== 'string') return null;
  const decoded = Buffer.from(text, 'base64');
  const fits =
    decoded.toString('base64') === text && (bytes === undefined || decoded.length === bytes);
  return fits ? decoded : null;
}

/** A root as base64 or as hexadecimal. */
function hashOf(text) {
  if (typeof text === 'string' && /^[0-9a-f]{64}$/.test(text)) return Buffer.from(text, 'hex');
  return base64(text, 32);
}

/** An Ed25519 key given as SubjectPublicKeyInfo or as its 32 bytes. */
function publicKeyOf(bytes) {
  try {
    const key = bytes.length === 32 ? Buffer.concat([SPKI_PREFIX, bytes]) : bytes;
    const made = crypto.createPublicKey({ key, format: 'der', type: 'spki' });
    return made.asymmetricKeyType === 'ed25519' ? made : null;
  } catch {
    return null;
  }
}

function parseVerifierKey(vkey) {
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(vkey) ?? [];
  const typed = base64(encoded, 33);
  if (typed === null || typed[0] !== 1) return null;
  const expected = sha256(Buffer.concat([Buffer.from(`${name}\n`), typed])).subarray(0, 4);
  if (expected.toString('hex') !== id) return null;
  const raw = typed.subarray(1);
  return { name, id: expected, key: publicKeyOf(raw), fingerprint: sha256(raw).toString('hex') };
}

/** The checkpoint in a note that `signer` signed, or a reason why there is none. */
function openNote(note, signer) {
  const end = note.indexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) return { reason: 'is no signed note' };
  const text = note.slice(0, end + 1);
  const [origin, size = '', root64] = text.split('\n');
  const root = base64(root64, 32);
  if (!/^(?:0|[1-9]\d{0,15})$/.test(size) || root === null) return { reason: 'is no checkpoint' };
  if (origin !== signer.name) return { reason: `is of another log (${origin})` };
  const prefix = `— ${signer.name} `;
  for (const line of note.slice(end + 2, -1).split('\n')) {
    const blob = line.startsWith(prefix) ? base64(line.slice(prefix.length), 68) : null;
    if (blob === null || !blob.subarray(0, 4).equals(signer.id)) continue;
    if (crypto.verify(null, Buffer.from(text), signer.key, blob.subarray(4)))
      return { size: Number(size), root };
  }
  return { reason: 'is not signed by the key of this ledger' };
}

/** The notes of a file that holds one or many: text lines, an empty line, signature lines, and so on. */
function splitNotes(text) {
  const pattern = /[^\n]+\n(?:0|[1-9]\d*)\n[A-Za-z0-9+/=]+\n(?:[^\n]+\n)*\n(?:— [^\n]+\n)+/gu;
  return (
    text
      .replace(/\r\n/g, '\n')
      .replace(/([^\n])$/, '$1\n')
      .match(pattern) ?? []
  );
}

// --- Reading the bundle ---

class CannotRun extends Error {}

async function* linesOf(file) {
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 20 })) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Everything that is known after reading so far. */
class Ledger {
  problems = [];
  problemCount = 0;
  leaves = [];
  /** Entries that stand for rows, by index, until the rows have been seen. */
  batches = new Map();
  lastRows = -1;
  rowBatches = 0;
  rowCount = 0;
  checkpoints = [];
  operators = new Map();
  broadcasts = new Map();
  unknownTypes = new Map();

  problem(text) {
    this.problemCount++;
    if (this.problems.length < PROBLEMS_SHOWN) this.problems.push(text);
  }
}

function readHeader(line) {
  let header;
  try {
    header = JSON.parse(line);
  } catch {
    throw new CannotRun('the first line is no JSON: this is no ledger bundle');
  }
  if (header?.type !== 'bundle') throw new CannotRun('this is no ledger bundle');
  if (header.version !== 1)
    throw new CannotRun(`this verifier reads bundles of version 1, not ${header.version}`);
  const signer = typeof header.vkey === 'string' ? parseVerifierKey(header.vkey) : null;
  if (signer === null) throw new CannotRun("the bundle's verifier key is malformed");
  return { header, signer };
}

const READERS = {
  entry: readEntry,
  rows: readRows,
  leaves: readLeaves,
  checkpoint: readCheckpoint,
};

function readLine(ledger, line, number) {
  let record = null;
  try {
    record = JSON.parse(line);
  } catch {}
  if (record === null || typeof record !== 'object')
    return ledger.problem(`Line ${number} is no JSON object.`);
  const reader = Object.hasOwn(READERS, record.type) ? READERS[record.type] : null;
  if (reader !== null) return reader(ledger, record, number);
  const type = String(record.type);
  ledger.unknownTypes.set(type, (ledger.unknownTypes.get(type) ?? 0) + 1);
}

function readEntry(ledger, record, number) {
  const { index, bytes } = record;
  const place = ledger.leaves.length;
  if (typeof bytes !== 'string') return ledger.problem(`Line ${number}: the entry has no bytes.`);
  if (index !== place)
    ledger.problem(`Line ${number}: entry ${index} stands where entry ${place} belongs.`);
  ledger.leaves.push(leafOf(bytes));
  const entry = parseCanonical(bytes);
  const isComplete =
    entry !== null &&
    ['kind', 'at', 'by', 'subject'].every((name) => typeof entry[name] === 'string') &&
    'data' in entry;
  if (!isComplete) return ledger.problem(`Entry ${place} is not in canonical form.`);
  if (entry.data === null || typeof entry.data !== 'object') return;
  const { data } = entry;
  if (Number.isSafeInteger(data.count) && typeof data.root === 'string')
    ledger.batches.set(place, entry);
  if (entry.kind === 'operator.added') addOperator(ledger, entry, place);
  else if (entry.kind === 'operator.removed') ledger.operators.delete(data.operator);
  else if (entry.kind === 'broadcast.approved') readApproval(ledger, entry, place);
}

function addOperator(ledger, entry, place) {
  const { operator, publicKey } = entry.data;
  const key = publicKeyOf(base64(publicKey) ?? Buffer.alloc(0));
  if (typeof operator !== 'string' || key === null)
    return ledger.problem(`Entry ${place}: the operator added has no Ed25519 key.`);
  ledger.operators.set(operator, { publicKey, key });
}

// --- Approvals, rows, leaves ---

function readApproval(ledger, entry, place) {
  const { document, envelope } = entry.data;
  const say = (text) => ledger.problem(`Entry ${place}, approval of ${entry.subject}: ${text}.`);
  const root = hashOf(document?.manifestRoot);
  const count = document?.count;
  if (root === null || !Number.isSafeInteger(count) || count < 0 || count > COUNT_MAX)
    return say('the document has no manifest root or count');
  if (document.broadcast !== entry.subject) say('the document is about another broadcast');
  checkEnvelope(ledger, entry, say);
  const known = ledger.broadcasts.get(entry.subject);
  if (known !== undefined && known.count !== count) say('a later approval has another count');
  ledger.broadcasts.set(entry.subject, {
    id: entry.subject,
    count,
    root,
    approvedBy: String(envelope?.operator),
    authors: Array.isArray(document.authors) ? document.authors.map(String) : [],
    tree: known?.tree ?? new Tree(),
    states: known?.count === count ? known.states : new Uint8Array(count),
    changedAfterEnd: known?.changedAfterEnd ?? 0,
  });
}

function checkEnvelope(ledger, entry, say) {
  const { document, envelope } = entry.data;
  if (envelope?.kind !== 'ed25519')
    return say('its envelope is of a kind this verifier does not know');
  const { operator, publicKey, signature } = envelope;
  const known = ledger.operators.get(operator);
  if (known === undefined) return say(`${operator} was not an operator at that time`);
  if (entry.by !== operator) say('the entry names another person than the envelope');
  if (publicKey !== known.publicKey) say(`the key is not ${operator}'s`);
  const bytes = Buffer.from(canonical(document), 'utf8');
  if (!crypto.verify(null, bytes, known.key, base64(signature, 64) ?? Buffer.alloc(64)))
    say('the signature is not valid');
  if (!Array.isArray(document.authors)) say('the document does not name its authors');
  else if (document.authors.includes(operator)) say(`${operator} approved their own work`);
}

function readRows(ledger, record, number) {
  const { entry: place, rows } = record;
  if (!Array.isArray(rows) || !rows.every((row) => typeof row === 'string'))
    return ledger.problem(`Line ${number}: the rows are malformed.`);
  const entry = ledger.batches.get(place);
  if (entry === undefined || place <= ledger.lastRows)
    return ledger.problem(`Line ${number}: rows of entry ${place} do not belong here.`);
  ledger.lastRows = place;
  ledger.batches.delete(place);
  ledger.rowBatches++;
  ledger.rowCount += rows.length;
  if (rows.length !== entry.data.count)
    ledger.problem(`Entry ${place} stands for ${entry.data.count} rows; ${rows.length} are here.`);
  const tree = new Tree();
  for (const row of rows) tree.append(leafOf(row));
  if (!tree.root().equals(hashOf(entry.data.root) ?? Buffer.alloc(0)))
    ledger.problem(
      `The rows of entry ${place} (${entry.kind}) are not the ones it was signed for.`,
    );
  if (entry.kind === 'outcomes.recorded') readOutcomes(ledger, entry, place, rows);
}

function readOutcomes(ledger, entry, place, rows) {
  const id = entry.data.broadcast ?? entry.subject;
  const broadcast = ledger.broadcasts.get(id);
  if (broadcast === undefined)
    return ledger.problem(`Entry ${place}: outcomes of ${id}, which nobody had approved.`);
  for (const row of rows) {
    const fields = row.split(',');
    const [position, attempt, state] = fields;
    const code = STATES.indexOf(state, 1);
    if (fields.length !== 6 || code < 1 || !/^\d+$/.test(attempt)) {
      ledger.problem(`Entry ${place}: an outcome row is malformed.`);
      continue;
    }
    if (!/^(?:0|[1-9]\d{0,9})$/.test(position) || Number(position) >= broadcast.count) {
      ledger.problem(`Entry ${place}: position ${position} is outside ${id}.`);
      continue;
    }
    const before = broadcast.states[Number(position)];
    if (isFinal(before) && before !== code) broadcast.changedAfterEnd++;
    broadcast.states[Number(position)] = code;
  }
}

const isFinal = (code) => code >= 1 && code <= FINAL.length;

function readLeaves(ledger, record, number) {
  const { broadcast: id, first, leaves } = record;
  const broadcast = ledger.broadcasts.get(id);
  const bytes = base64(leaves);
  if (broadcast === undefined)
    return ledger.problem(`Line ${number}: leaves of ${id}, which nobody had approved.`);
  if (bytes === null || bytes.length % 32 !== 0 || first !== broadcast.tree.size)
    return ledger.problem(`Line ${number}: the leaves of ${id} are malformed or not in order.`);
  for (let at = 0; at < bytes.length; at += 32) broadcast.tree.append(bytes.subarray(at, at + 32));
}

function readCheckpoint(ledger, record, number) {
  if (typeof record.note !== 'string')
    return ledger.problem(`Line ${number}: the checkpoint has no note.`);
  ledger.checkpoints.push(record.note);
}

// --- Judging the whole ---

function openCheckpoints(ledger, signer) {
  const opened = [];
  for (const [i, note] of ledger.checkpoints.entries()) {
    const checkpoint = openNote(note, signer);
    if (checkpoint.reason) ledger.problem(`Checkpoint ${i} ${checkpoint.reason}.`);
    else if (checkpoint.size > ledger.leaves.length)
      ledger.problem(
        `A checkpoint covers ${checkpoint.size} entries; ${ledger.leaves.length} are here.`,
      );
    else opened.push(checkpoint);
  }
  const last = opened.at(-1);
  if (last === undefined) ledger.problem('No valid checkpoint covers these entries.');
  else if (last.size !== ledger.leaves.length)
    ledger.problem(`The last checkpoint covers ${last.size} of ${ledger.leaves.length} entries.`);
  return opened;
}

function openAnchors(ledger, notes, signer) {
  const opened = [];
  for (const [i, note] of notes.entries()) {
    const anchor = openNote(note, signer);
    if (anchor.reason) ledger.problem(`Anchor ${i}: its checkpoint ${anchor.reason}.`);
    else if (anchor.size > ledger.leaves.length)
      ledger.problem(
        `The ledger was cut off: the anchor has seen ${anchor.size} entries, ${ledger.leaves.length} are here.`,
      );
    else opened.push({ ...anchor, isAnchor: true });
  }
  return opened;
}

/** Grows the tree once, and holds it against every signed root on the way. */
function compareRoots(ledger, signed) {
  const tree = new Tree();
  for (const { size, root, isAnchor } of [...signed].sort((a, b) => a.size - b.size)) {
    while (tree.size < size) tree.append(ledger.leaves[tree.size]);
    if (tree.root().equals(root)) continue;
    ledger.problem(
      isAnchor
        ? `The ledger was written anew: its first ${size} entries are not those that the anchor has seen.`
        : `The first ${size} entries are not the ones the checkpoint of that size was signed over.`,
    );
  }
}

function judgeBroadcast(ledger, broadcast) {
  const { id, count, tree, root, states, approvedBy, authors } = broadcast;
  if (tree.size !== count)
    ledger.problem(
      `Broadcast ${id}: ${count} messages were approved, ${tree.size} leaves are here.`,
    );
  else if (!tree.root().equals(root))
    ledger.problem(`Broadcast ${id}: the leaves are not the ones that were approved.`);
  if (broadcast.changedAfterEnd > 0)
    ledger.problem(
      `Broadcast ${id}: ${broadcast.changedAfterEnd} final states were changed later.`,
    );
  const totals = new Array(STATES.length).fill(0);
  for (const code of states) totals[code]++;
  const final = {};
  const open = {};
  for (const [code, total] of totals.entries())
    if (total > 0) (isFinal(code) ? final : open)[STATES[code]] = total;
  const sum = Object.values(final).reduce((all, total) => all + total, 0);
  return {
    id,
    count,
    manifestRoot: root.toString('base64'),
    approvedBy,
    authors,
    final,
    sum,
    open,
  };
}

function judgeMissingRows(ledger) {
  let missing = 0;
  for (const [place, entry] of ledger.batches) {
    if (entry.kind === 'outcomes.recorded')
      ledger.problem(`The rows of entry ${place} (${entry.kind}) are missing.`);
    else missing++;
  }
  return missing;
}

function conclusion(hasAnchor, anchorSize, hasKey) {
  if (!hasAnchor && !hasKey) return 'internally consistent; currency and key unconfirmed';
  const currency = hasAnchor
    ? `the ${anchorSize} entries the anchor has seen stand unchanged`
    : 'currency unconfirmed';
  const key = hasKey ? 'key confirmed' : 'key as in the anchor';
  return `internally consistent; ${currency}; ${key}`;
}

function judge(ledger, signer, anchorNotes, key) {
  const checkpoints = openCheckpoints(ledger, signer);
  const anchors = openAnchors(ledger, anchorNotes ?? [], signer);
  compareRoots(ledger, [...checkpoints, ...anchors]);
  if (key !== undefined && !signer.fingerprint.startsWith(key))
    ledger.problem(`The key is ${signer.fingerprint}, not the one you know.`);
  const rowsNotIncluded = judgeMissingRows(ledger);
  const broadcasts = [...ledger.broadcasts.values()].map((item) => judgeBroadcast(ledger, item));
  const anchorSize = Math.max(0, ...anchors.map(({ size }) => size));
  const verified = ledger.problemCount === 0;
  return {
    verified,
    conclusion: verified
      ? conclusion(anchorNotes !== undefined, anchorSize, key !== undefined)
      : `not verified: ${ledger.problemCount} problem${ledger.problemCount === 1 ? '' : 's'}`,
    origin: signer.name,
    key: signer.fingerprint,
    entries: ledger.leaves.length,
    root: checkpoints.at(-1)?.root.toString('base64') ?? null,
    checkpoints: checkpoints.length,
    anchoredEntries: anchorNotes === undefined ? null : anchorSize,
    rowBatches: ledger.rowBatches,
    rows: ledger.rowCount,
    rowBatchesNotIncluded: rowsNotIncluded,
    linesNotChecked: Object.fromEntries(ledger.unknownTypes),
    broadcasts,
    problems: ledger.problems,
    problemCount: ledger.problemCount,
  };
}

/**
 * Verifies the bundle in a file.
 * @param {{ bundle: string, anchor?: string, key?: string }} request `anchor` is a file with checkpoint notes, `key`
 * the first 16 or more hexadecimal characters of the SHA-256 of the ledger's public key.
 * @throws an Error, with a message for people, when it cannot be checked at all.
 */
export async function verifyBundle(request) {
  const key = request.key?.toLowerCase().replace(/^sha256:/, '');
  if (key !== undefined && !/^[0-9a-f]{16,64}$/.test(key))
    throw new CannotRun('--key takes 16 to 64 hexadecimal characters');
  const anchorNotes = request.anchor === undefined ? undefined : readAnchors(request.anchor);
  const ledger = new Ledger();
  let signer = null;
  let number = 0;
  for await (const line of linesOf(request.bundle)) {
    number++;
    if (signer === null) ({ signer } = readHeader(line));
    else if (line !== '') readLine(ledger, line, number);
  }
  if (signer === null) throw new CannotRun('the file is empty');
  return judge(ledger, signer, anchorNotes, key);
}

function readAnchors(file) {
  const notes = splitNotes(readFileSync(file, 'utf8'));
  if (notes.length === 0) throw new CannotRun(`${file} holds no checkpoint`);
  return notes;
}

// --- Saying it ---

const number = (value) => String(value).replace(/\B(?=(?:\d{3})+$)/g, ',');
const plural = (value, word, many = `${word}s`) => `${number(value)} ${value === 1 ? word : many}`;
const listing = (counts) =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${number(count)}`)
    .join(', ');

/** What was found, in sentences, one on a line. */
export function describeVerification(result) {
  const lines = [`Ledger ${result.origin}, key sha256:${result.key}`];
  lines.push(
    `Checked: ${plural(result.entries, 'entry', 'entries')}; the roots and signatures of ${plural(result.checkpoints, 'checkpoint')}; ` +
      `${plural(result.rows, 'row')} in ${plural(result.rowBatches, 'batch', 'batches')}.`,
  );
  for (const broadcast of result.broadcasts) lines.push(...describeBroadcast(broadcast));
  if (result.rowBatchesNotIncluded > 0)
    lines.push(
      `Not in the bundle: the rows of ${plural(result.rowBatchesNotIncluded, 'batch', 'batches')}.`,
    );
  for (const [type, count] of Object.entries(result.linesNotChecked))
    lines.push(`Not checked: ${plural(count, 'line')} of type ${JSON.stringify(type)}.`);
  lines.push(...result.problems.map((problem) => `PROBLEM: ${problem}`));
  if (result.problemCount > result.problems.length)
    lines.push(`… and ${plural(result.problemCount - result.problems.length, 'more problem')}`);
  lines.push(result.verified ? `VERIFIED: ${result.conclusion}` : 'NOT VERIFIED');
  return lines;
}

function describeBroadcast({ id, count, approvedBy, authors, final, sum, open }) {
  const lines = [
    `Broadcast ${id}: ${plural(count, 'message')} approved by ${approvedBy}; made by ${authors.join(', ') || 'nobody named'}.`,
    `  ended: ${listing(final) || 'none'}; sum ${number(sum)} of ${number(count)}.`,
  ];
  if (sum < count) lines.push(`  still open: ${listing(open)}.`);
  return lines;
}

const USAGE = 'usage: verify BUNDLE [--anchor FILE] [--key FINGERPRINT] [--json]';

function parseArguments(args) {
  const request = { json: false };
  const rest = args.flatMap((argument) => {
    const [, name, value] = /^(--(?:anchor|key))=(.*)$/s.exec(argument) ?? [];
    return name === undefined ? [argument] : [name, value];
  });
  while (rest.length > 0) takeArgument(request, rest);
  if (request.bundle === undefined) throw new CannotRun(USAGE);
  return request;
}

function takeArgument(request, rest) {
  const name = rest.shift();
  if (name === '--json') request.json = true;
  else if (name === '--anchor' || name === '--key') {
    if (rest.length === 0) throw new CannotRun(`${name} needs a value; ${USAGE}`);
    request[name.slice(2)] = rest.shift();
  } else if (name.startsWith('-') || request.bundle !== undefined)
    throw new CannotRun(`${name} is not understood; ${USAGE}`);
  else request.bundle = name;
}

/**
 * The command; the exit status.
 * @param {readonly string[]} args
 * @param {{ stdout: (text: string) => void, stderr: (text: string) => void }} io
 */
export async function runVerify(args, io) {
  try {
    const request = parseArguments(args);
    const result = await verifyBundle(request);
    if (request.json) io.stdout(`${JSON.stringify(result)}\n`);
    else io.stdout(`${describeVerification(result).join('\n')}\n`);
    return result.verified ? 0 : 1;
  } catch (error) {
    io.stderr(`ledger verify: ${error.message}\n`);
    return 2;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = await runVerify(process.argv.slice(2), {
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
  });
