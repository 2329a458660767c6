/**
 * What a message is once it has been read: fields, parts, nested messages and what is wrong with it.
 *
 * Invariant: reading never fails. Bytes that no standard allows give a message with defects, and
 * where mail clients read the same bytes differently every reading is in the result.
 */
import type { HeaderField } from './header.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { readMessage } from './mime.ts';

/** One entity of the message (RFC 2045 section 2.4). Its members are read when first asked for. */
export interface Part {
  /** '' the root; '1', '1.2' below; a nested message's own root is its part's path plus '.m'. */
  readonly path: string;
  readonly headers: readonly HeaderField[];
  /** Lower-case 'type/subtype'; 'text/plain' where absent or unreadable. */
  readonly contentType: string;
  /** Parameters of Content-Type: names in lower case, values decoded (RFC 2231). */
  readonly parameters: ReadonlyMap<string, string>;
  /** 'inline', 'attachment', another lower-case word, or ''. */
  readonly disposition: string;
  /** '' where there is none. */
  readonly fileName: string;
  /** A leaf's bytes with the transfer encoding undone; empty for a multipart. */
  readonly content: Uint8Array;
  /**
   * Every reading of a text leaf, the declared charset's first and others only where they differ.
   * For a multipart: the text before, between and after its parts that a client may show.
   */
  readonly texts: readonly string[];
  readonly children: readonly Part[];
  /** The message inside message/rfc822, message/global, text/rfc822-headers or an attached .eml. */
  readonly nested: ParsedMessage | null;
}

export type DefectId =
  | 'bare-cr'
  | 'bare-lf'
  | 'nul-byte'
  | 'header-without-colon'
  | 'malformed-header-name'
  | 'blank-header-line'
  | 'duplicate-header'
  | 'line-too-long'
  | 'unknown-transfer-encoding'
  | 'malformed-base64'
  | 'malformed-quoted-printable'
  | 'encoded-composite'
  | 'unknown-charset'
  | 'malformed-charset'
  | 'missing-boundary'
  | 'unclosed-multipart'
  | 'boundary-clash'
  | 'malformed-content-type'
  | 'malformed-encoded-word'
  | 'malformed-address'
  | 'too-many-headers'
  | 'too-many-parts'
  | 'too-deep'
  | 'too-large'
  | 'duplicate-parameter'
  | 'eight-bit-header'
  | 'empty-message';

export interface Defect {
  readonly id: DefectId;
  /** 'header To', 'body', 'part 1.2', 'part 1.2 header Content-Type'. Never content. */
  readonly where: string;
}

export interface ParsedMessage {
  readonly bytes: Uint8Array;
  /** The fields in order; second readings of a field follow the first. */
  readonly headers: readonly HeaderField[];
  readonly root: Part;
  /** Where the body begins in `bytes`; the length where there is none. */
  readonly bodyStart: number;
  /** Everything found wrong, nested messages included. Asking for it decodes all parts. */
  readonly defects: readonly Defect[];
}

/** Reads a message (RFC 5322, 6532, 2045 to 2049). Never throws, whatever the bytes are. */
export function parseMessage(bytes: Uint8Array, limits: Limits = DEFAULT_LIMITS): ParsedMessage {
  return readMessage(bytes, limits);
}

/** Every part, depth first, those of nested messages after the part that holds them. */
export function allParts(message: ParsedMessage): readonly Part[] {
  const parts: Part[] = [];
  const waiting: Part[] = [message.root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    parts.push(part);
    for (const child of part.children.toReversed()) waiting.push(child);
    if (part.nested !== null) waiting.push(part.nested.root);
  }
  return parts;
}
