/**
 * Addresses for the independent reader: equality, and finding them in text however they are written.
 * Finds too much rather than too little: a text is read as it stands and with each coding undone.
 */

import { domainToASCII } from 'node:url';

const domains = new Map();

function canonicalDomain(domain) {
  let known = domains.get(domain);
  if (known === undefined) {
    known = domainToASCII(domain.normalize('NFC')) || domain.toLowerCase();
    domains.set(domain, known);
  }
  return known;
}

/** A numbered set of addresses: equal are NFC, local part without quotes and case, domain in A-labels. */
export class Addresses {
  #numbers = new Map();
  #list = [];

  static canonical(address) {
    const at = address.lastIndexOf('@');
    const local = address
      .slice(0, at)
      .replace(/^"(.*)"$/, '$1')
      .normalize('NFC')
      .toLowerCase();
    return `${local}@${canonicalDomain(address.slice(at + 1))}`;
  }

  get size() {
    return this.#list.length;
  }

  /** The number of the address; a new one where it is new. */
  add(address) {
    const canonical = Addresses.canonical(address.trim());
    let number = this.#numbers.get(canonical);
    if (number === undefined) {
      number = this.#list.push(canonical) - 1;
      this.#numbers.set(canonical, number);
    }
    return number;
  }

  find(address) {
    return this.#numbers.get(Addresses.canonical(address));
  }

  at(number) {
    return this.#list[number];
  }
}

const LOCAL = /[\p{L}\p{N}\p{M}.!#$%&'*+/=?^_`{|}~-]/u;
const DOMAIN = /[\p{L}\p{N}\p{M}.-]/u;
const localAscii = new Uint8Array(128).map((_, code) =>
  LOCAL.test(String.fromCharCode(code)) ? 1 : 0,
);
const domainAscii = new Uint8Array(128).map((_, code) =>
  DOMAIN.test(String.fromCharCode(code)) ? 1 : 0,
);

/** Whether the UTF-16 unit may stand in the part; halves of a pair may. */
function belongs(text, at, ascii, pattern) {
  const code = text.charCodeAt(at);
  if (code < 128) return ascii[code] === 1;
  return (code >= 0xd800 && code <= 0xdfff) || pattern.test(text[at]);
}

function localStart(text, at) {
  let start = at;
  if (text[at - 1] === '"') {
    const quote = text.lastIndexOf('"', at - 2);
    return quote < 0 ? at : quote;
  }
  while (start > 0 && belongs(text, start - 1, localAscii, LOCAL)) start--;
  return start;
}

function domainEnd(text, at) {
  let end = at + 1;
  while (end < text.length && belongs(text, end, domainAscii, DOMAIN)) end++;
  while (end > at + 1 && (text[end - 1] === '.' || text[end - 1] === '-')) end--;
  return end;
}

/** Local parts that may be meant: the whole, and what follows a mark that seldom stands in one. */
function localReadings(local) {
  const readings = [local];
  const marks = /[!#$%&'*/=?^`{|}~]|[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}](?=[a-z0-9])/giu;
  if (/[^A-Za-z0-9._+-]/.test(local))
    for (const mark of local.matchAll(marks)) readings.push(local.slice(mark.index + 1));
  if (/^\.|\.$/.test(local)) readings.push(local.replace(/^\.+|\.+$/g, ''));
  return readings;
}

/** Domains that may be meant: the whole, and what stands before another script's first letter. */
function domainReadings(domain) {
  const joined = /^(.*\.[a-z]{2,})[^\0-\x7f]/i.exec(domain);
  return joined === null ? [domain] : [domain, joined[1]];
}

/** `tag+person=domain@elsewhere`: how return paths name a person. */
function verpReadings(local) {
  const equals = local.lastIndexOf('=');
  if (equals < 0) return [];
  const person = local.slice(0, equals);
  const readings = [person];
  for (const mark of person.matchAll(/[+=-]/g)) readings.push(person.slice(mark.index + 1));
  return readings.map((one) => `${one}@${local.slice(equals + 1)}`);
}

/** Every address that an at sign of the text may belong to; the likeliest reading first, one list for each sign. */
function* atSigns(text) {
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    const local = text.slice(localStart(text, at), at);
    const domain = text.slice(at + 1, domainEnd(text, at));
    if (local === '' || domain === '') continue;
    const readings = [];
    for (const oneDomain of domainReadings(domain))
      for (const oneLocal of localReadings(local)) readings.push(`${oneLocal}@${oneDomain}`);
    yield [...readings, ...verpReadings(local)];
  }
}

/** The addresses of a text as it stands, in canonical form. */
export function addressesIn(text) {
  return [...atSigns(text)].map(([address]) => Addresses.canonical(address));
}

/** The mailboxes of a To, Cc or Bcc field, in canonical form: in angle brackets where there are any. */
export function readersIn(value) {
  const bracketed = value.match(/<[^<>]*@[^<>]*>/g);
  if (bracketed === null) return addressesIn(value);
  const bare = value
    .replace(/"(?:[^"\\]|\\.)*"(?!@)/g, '')
    .split(',')
    .filter((piece) => !piece.includes('<'));
  return [...bracketed, ...bare].flatMap(addressesIn);
}

const NAMED = {
  commat: '@',
  period: '.',
  lowbar: '_',
  plus: '+',
  hyphen: '-',
  dash: '-',
  amp: '&',
};

function undoEntities(text) {
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));?/gi,
    (whole, decimal, hex, name) => {
      if (name !== undefined) return NAMED[name.toLowerCase()] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code > 0x10ffff ? whole : String.fromCodePoint(code);
    },
  );
}

function undoPercent(text) {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
  );
}

const INVISIBLE = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

function undoMarkup(text) {
  return text.replace(/<[^<>@]*>/g, '').replace(INVISIBLE, '');
}

function undoWidth(text) {
  return text.replace(/[\uff01-\uff5e\ufe6b\uff0e\u3002]/g, (wide) =>
    wide === '\u3002' ? '.' : wide.normalize('NFKC'),
  );
}

const TOKEN_MIN = 14;
const tokenAscii = new Uint8Array(128).map((_, code) =>
  /[A-Za-z0-9+/_-]/.test(String.fromCharCode(code)) ? 1 : 0,
);

function inToken(text, at) {
  return tokenAscii[text.charCodeAt(at)] === 1;
}

function tokenEnd(text, start) {
  let end = start;
  while (end < text.length && inToken(text, end)) end++;
  return end;
}

/** Where the next line begins when a line ends here, or -1. */
function nextLine(text, at) {
  if (text[at] === '\n') return at + 1;
  return text[at] === '\r' && text[at + 1] === '\n' ? at + 2 : -1;
}

/** The token with what follows it on the next lines, and the end of that. */
function overLines(text, start, firstEnd) {
  let token = text.slice(start, firstEnd);
  let end = firstEnd;
  for (let next = nextLine(text, end); next >= 0; next = nextLine(text, end)) {
    const nextEnd = tokenEnd(text, next);
    if (nextEnd - next < 4) break;
    token += text.slice(next, nextEnd);
    end = nextEnd;
  }
  return { token, end };
}

/**
 * Runs of at least 14 letters of base64, on over line ends. Looks at every 14th character only
 * where there are none: 9 KB take 22 us, a regular expression took 87.
 */
function* tokensOf(text) {
  let from = 0;
  for (let at = TOKEN_MIN - 1; at < text.length; at = from + TOKEN_MIN - 1) {
    if (!inToken(text, at)) {
      from = at + 1;
      continue;
    }
    let start = at;
    while (start > from && inToken(text, start - 1)) start--;
    const end = tokenEnd(text, at);
    from = end + 1;
    if (end - start < TOKEN_MIN) continue;
    const whole = overLines(text, start, end);
    from = whole.end + 1;
    yield whole.token;
  }
}

/**
 * Longer tokens may hold coded text: hexadecimal, and base64 of both alphabets, over line ends too.
 * Base64 is tried at each of its four alignments, since a slash before it may be a path's.
 */
function* undoTokens(text) {
  for (const token of tokensOf(text)) {
    for (let start = 0; start < 4; start++) {
      const bytes = Buffer.from(token.slice(start), 'base64');
      if (bytes.includes(64)) yield bytes.toString('utf8');
    }
    for (const [run] of token.matchAll(/[0-9a-f]{14,}/gi)) {
      const bytes = Buffer.from(run, 'hex');
      if (bytes.includes(64)) yield bytes.toString('utf8');
    }
  }
}

const UNDO = [
  { applies: /&(?:#|[a-z])/i, undo: undoEntities },
  { applies: /%[0-9a-f]{2}/i, undo: undoPercent },
  { applies: /[<\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/, undo: undoMarkup },
  { applies: /[\uff01-\uff5e\ufe6b\u3002]/, undo: undoWidth },
];
const UNDONE_MAX = 4;

/** The text and its readings with codings undone, each on top of those before, until nothing changes. */
function* readingsOf(text) {
  yield text;
  let current = text;
  for (let round = 0; round < UNDONE_MAX; round++) {
    const before = current;
    for (const { applies, undo } of UNDO) {
      if (!applies.test(current)) continue;
      const undone = undo(current);
      if (undone === current) continue;
      current = undone;
      if (current.includes('@')) yield current;
    }
    if (current === before) return;
  }
}

/** Numbers of the known people whose address stands in the text in any coding. */
export function peopleIn(text, known, depth = 0, found = new Set()) {
  for (const reading of readingsOf(text))
    for (const candidates of atSigns(reading))
      for (const candidate of candidates) {
        const number = known.find(candidate);
        if (number !== undefined) found.add(number);
      }
  if (depth < 2) for (const inner of undoTokens(text)) peopleIn(inner, known, depth + 1, found);
  return found;
}
