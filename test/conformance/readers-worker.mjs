/** A thread that reads messages with postal-mime and mailparser: bytes in, texts out in which an address may stand. */

import { parentPort } from 'node:worker_threads';
import { simpleParser } from 'mailparser';
import PostalMime, { decodeWords } from 'postal-mime';

const AROUND = 120;
const AT = /[@\uff20]/g;
const NAMED = { commat: '@', amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", period: '.' };

function around(text, into) {
  let last = -1;
  for (const { index } of text.matchAll(AT)) {
    if (index < last) continue;
    last = index + AROUND;
    into.add(text.slice(Math.max(0, index - AROUND), last));
  }
}

function unquoted(text) {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (coded) =>
    Buffer.from(coded.replaceAll('%', ''), 'hex').toString('utf8'),
  );
}

function plain(text, into) {
  around(text, into);
  if (text.includes('%')) around(unquoted(text), into);
}

function unescaped(text) {
  return text.replace(
    /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w{2,8}));?/gi,
    (whole, hex, number, name) => {
      if (name !== undefined) return NAMED[name] ?? whole;
      const code = hex === undefined ? Number(number) : Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

function rendered(text, into) {
  plain(text, into);
  plain(unescaped(text), into);
  around(unescaped(text.replace(/<[^>]*>/gs, '')), into);
}

/** Every text in a value that a parser gives for a header, however deep. */
function deep(value, into, depth = 0) {
  if (typeof value === 'string') plain(value, into);
  else if (value instanceof Map) for (const inner of value.values()) deep(inner, into, depth);
  else if (value instanceof Date || ArrayBuffer.isView(value) || depth > 8) return;
  else if (typeof value === 'object' && value !== null)
    for (const [name, inner] of Object.entries(value)) {
      if (name === 'address' && typeof inner === 'string') into.add(inner);
      deep(inner, into, depth + 1);
    }
}

async function readFile(content, type, into, depth, read) {
  const bytes = Buffer.from(content.buffer ?? content, content.byteOffset ?? 0, content.byteLength);
  if (type === 'message/rfc822' && depth < 4) return read(bytes, into, depth + 1);
  if (/^(?:image|audio|video)\//.test(type)) return;
  const text = bytes.toString('utf8');
  if (/calendar|vcard/.test(type)) plain(text.replace(/\r?\n[ \t]/g, ''), into);
  if (type === 'text/html') rendered(text, into);
  else plain(text, into);
}

async function postalMime(bytes, into, depth = 0) {
  const mail = await PostalMime.parse(bytes);
  const { attachments, html, text, ...rest } = mail;
  deep(rest, into);
  for (const { value } of mail.headers) plain(decodeWords(value), into);
  if (text !== undefined) plain(text, into);
  if (html !== undefined) rendered(html, into);
  for (const { filename, mimeType, content, description } of attachments) {
    deep([filename, description], into);
    await readFile(
      typeof content === 'string' ? Buffer.from(content) : content,
      mimeType,
      into,
      depth,
      postalMime,
    );
  }
}

async function mailparser(bytes, into, depth = 0) {
  const mail = await simpleParser(bytes, {
    ...{ skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true },
  });
  const { attachments, html, text, headers, headerLines, ...rest } = mail;
  deep(rest, into);
  deep(headers, into);
  for (const { line } of headerLines) plain(line, into);
  if (text) plain(text, into);
  if (html) rendered(html, into);
  for (const { filename, contentType, content } of attachments) {
    deep([filename], into);
    await readFile(content, contentType, into, depth, mailparser);
  }
}

parentPort?.on('message', async ({ number, bytes }) => {
  const buffer = Buffer.from(bytes);
  const answers = {};
  for (const [name, read] of Object.entries({ postalMime, mailparser })) {
    const texts = new Set();
    try {
      await read(buffer, texts);
      answers[name] = [...texts];
    } catch (error) {
      answers[name] = [...texts];
      answers.fault = `${name}: ${error instanceof Error ? error.message : 'fault'}`;
    }
  }
  parentPort.postMessage({ number, answers });
});
