/** Opaque tokens in the links of a message, each with its slot: the link's shape without its tokens. */

import type { ParsedMessage, Part } from '../mail/message.ts';

/** Slot to the one token this message has in it; a slot with several is left out. */
export type LinkTokens = ReadonlyMap<string, string>;

const LINK = /https?:\/\/[^\s"'<>()\\]{8,2000}/g;
const LINKS_MAX = 500;
const LINK_FIELDS = new Set(['list-unsubscribe', 'list-archive', 'list-help']);
/** Of pages for everybody: files, and what web analysis adds. */
const FILE = /\.(?:png|jpe?g|gif|svg|webp|css|js|woff2?|ico)$/i;
const FOR_EVERYBODY = /^(?:utm_|mc_cid$|campaign|cid$|lang$|v$)/i;

export function linkTokens(message: ParsedMessage): LinkTokens {
  const slots = new Map<string, string | null>();
  const waiting: Part[] = [message.root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    const text = part.texts[0];
    if (text !== undefined && part.disposition !== 'attachment') readLinks(text, slots);
    waiting.push(...part.children);
  }
  for (const { lower, value } of message.headers)
    if (LINK_FIELDS.has(lower)) readLinks(value, slots);
  const tokens = new Map<string, string>();
  for (const [slot, token] of slots) if (token !== null) tokens.set(slot, token);
  return tokens;
}

function readLinks(text: string, slots: Map<string, string | null>): void {
  if (!text.includes('http')) return;
  let count = 0;
  for (const [link] of text.matchAll(LINK)) {
    if (count++ === LINKS_MAX) return;
    readLink(link.replaceAll('&amp;', '&'), slots);
  }
}

function readLink(link: string, slots: Map<string, string | null>): void {
  const [address = '', ...queries] = link.split(/[?#]/);
  const segments = address.split('/');
  const shape = segments.map((segment) => (isOpaque(segment) ? '*' : segment)).join('/');
  for (const [index, segment] of segments.entries()) {
    if (isOpaque(segment)) note(slots, `${shape} ${index}`, segment);
  }
  for (const query of queries) {
    for (const pair of query.split('&')) {
      const [name = '', value = ''] = pair.split('=', 2);
      if (isOpaque(value) && !FOR_EVERYBODY.test(name)) note(slots, `${shape}?${name}`, value);
    }
  }
}

function note(slots: Map<string, string | null>, slot: string, token: string): void {
  const before = slots.get(slot);
  slots.set(slot, before === undefined || before === token ? token : null);
}

/** 16 characters or more that no person would read: not words joined by hyphens, not a file. */
function isOpaque(text: string): boolean {
  if (text.length < 16 || !/^[\w.~%=+-]+$/.test(text) || FILE.test(text)) return false;
  const digits = text.replace(/\D/g, '').length;
  if (digits >= 4 && /^[0-9A-Fa-f-]+$/.test(text)) return true;
  if (/^[a-z]+(?:[-_.][a-z0-9]+)+$/i.test(text) && digits < 4) return false;
  return digits >= 2 || (text.match(/[a-z][A-Z]/g)?.length ?? 0) >= 3;
}
