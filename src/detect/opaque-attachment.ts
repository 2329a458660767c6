/** Attachments whose content is not opened by this inspection: archives, office documents, PDF, encrypted mail. */

import type { ParsedMessage, Part } from '../mail/message.ts';
import type { Finding } from './finding.ts';

const OPAQUE_TYPE =
  /^application\/(?:zip|gzip|x-gzip|x-7z-compressed|x-rar|x-zip-compressed|vnd\.(?:openxmlformats|oasis|ms-)|msword|pdf|ms-tnef|vnd\.ms-tnef|pkcs7-mime|x-pkcs7-mime|pgp-encrypted)/;

/** A note each: their plain bytes are searched for addresses, their compressed content is not. */
export function opaqueAttachment(message: ParsedMessage): readonly Finding[] {
  const findings: Finding[] = [];
  const waiting: Part[] = [message.root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (part.texts.length === 0 && part.children.length === 0 && isOpaque(part)) {
      const where = { part: part.path, field: 'attachment', start: 0, end: part.content.length };
      findings.push({ id: 'opaque-attachment', severity: 'note', where, addresses: [], count: 1 });
    }
    for (const child of part.children.toReversed()) waiting.push(child);
    if (part.nested !== null) waiting.push(part.nested.root);
  }
  return findings;
}

/** How such files begin: zip and office documents, PDF, 7z, RAR, gzip, OLE. */
const OPAQUE_START = /^(?:504b0304|25504446|377abcaf|52617221|1f8b|d0cf11e0)/;

function isOpaque(part: Part): boolean {
  if (OPAQUE_TYPE.test(part.contentType)) return true;
  return OPAQUE_START.test(Buffer.from(part.content.subarray(0, 4)).toString('hex'));
}
