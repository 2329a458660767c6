/** Addresses made unreadable to whoever looks on, and still to be told apart: `a…e@w…l.example`. */

import { findAddresses } from '../../mail/sightings.ts';

export interface MaskedText {
  readonly text: string;
  /** Where an offset of the unmasked text lies now; within an address, its start or its end. */
  readonly place: (offset: number, side: 'start' | 'end') => number;
}

/** Whatever stands around an @: also what is no address of any standard, and quoted local parts. */
const AROUND_AT =
  /(?:"[^"\n]{1,128}"|[^\s<>()[\],;:"\\@]{1,128})(?:@|\uFF20|\uFE6B)(?:\[[^\]\s]{1,64}\]|[\p{L}\p{N}._-]{1,255})/gu;

interface Span {
  readonly start: number;
  readonly end: number;
}

/** First and last letter; nothing at all where that would be most of it. */
function ends(text: string): string {
  const letters = [...text];
  return letters.length < 4 ? '…' : `${letters[0]}…${letters.at(-1)}`;
}

/** `anne.smith@mail.world.example` as `a…h@m…d.example`. */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf('@');
  if (at < 0) return ends(address);
  const domain = address.slice(at + 1);
  const dot = domain.lastIndexOf('.');
  const masked = dot < 0 ? ends(domain) : `${ends(domain.slice(0, dot))}${domain.slice(dot)}`;
  return `${ends(address.slice(0, at))}@${masked}`;
}

/** Every address in a text masked, in whatever coding the guard can see it. */
export function maskAddresses(text: string): MaskedText {
  const spans: Span[] = [];
  const pieces: string[] = [];
  const starts: number[] = [];
  let at = 0;
  let length = 0;
  const add = (piece: string): void => {
    pieces.push(piece);
    length += piece.length;
  };
  for (const { start, end, shown } of addressSpans(text)) {
    add(text.slice(at, start));
    spans.push({ start, end });
    starts.push(length);
    add(shown);
    at = end;
  }
  add(text.slice(at));
  const masked = pieces.join('');
  const place = (offset: number, side: 'start' | 'end'): number => {
    let shift = 0;
    for (const [i, span] of spans.entries()) {
      const start = starts[i] ?? 0;
      if (offset <= span.start) break;
      const nextPiece = pieces[2 * i + 1] ?? '';
      if (offset < span.end) return side === 'start' ? start : start + nextPiece.length;
      shift = start + nextPiece.length - span.end;
    }
    return offset + shift;
  };
  return { text: masked, place };
}

interface Shown extends Span {
  readonly shown: string;
}

/** In order, none within another. */
function addressSpans(text: string): Shown[] {
  const seen: Shown[] = findAddresses(text).map(({ start, end, address }) => ({
    ...{ start, end, shown: maskAddress(address) },
  }));
  for (const match of text.matchAll(AROUND_AT)) {
    const [found] = match;
    seen.push({ start: match.index, end: match.index + found.length, shown: maskAddress(found) });
  }
  seen.sort((one, two) => one.start - two.start || two.end - one.end);
  const joined: Shown[] = [];
  for (const next of seen) {
    const last = joined.at(-1);
    if (last === undefined || next.start >= last.end) joined.push(next);
    else if (next.end > last.end) joined[joined.length - 1] = { ...last, end: next.end };
  }
  return joined;
}
