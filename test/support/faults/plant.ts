/** Writes a second customer's address into one place, the way the part with the fault would write it. */

import type { Recipient, RenderedSlots } from '../../../src/broadcast/compile.ts';
import { type Layout, SLOT } from '../../../src/broadcast/prepared-message.ts';
import { encodeHeaderText } from '../../../src/mail/encode-header.ts';
import { encodeQuotedPrintable } from '../../../src/mail/transfer-encoding.ts';
import type { Place } from './places.ts';

/** Slots of the test's notice: greeting, note, own and link of the text part, then those of the HTML part. */
const NOTE_SLOT = 7;
const OWN_SLOTS = [8, 12];
const LINK_SLOT = 13;

const CHINESE = (victim: string): string => `其他客户：${victim}。请查看指数权重。`;
const ARABIC = (victim: string): string => `عميل آخر: ${victim}، تتغير أوزان المؤشر.`;
const percent = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase()}`).join('');

function linkOf(place: Place, victim: string): string {
  const coded =
    place === 'URL, base64' ? Buffer.from(victim).toString('base64url') : percent(victim);
  return `https://northwind.example/s?c=${coded}`;
}

function base64Lines(text: string): string {
  return (
    Buffer.from(text)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  ).join('\r\n');
}

/** The body part of a place, its header first. */
function partOf(place: Place, victim: string): string {
  const type = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding:';
  if (place === 'Chinese body, base64')
    return `${type} base64\r\n\r\n${base64Lines(CHINESE(victim))}\r\n`;
  const text = place.startsWith('Arabic') ? ARABIC(victim) : linkOf(place, victim);
  return `${type} quoted-printable\r\n\r\n${encodeQuotedPrintable(text)}\r\n`;
}

/** A broken audience: the row carries another row's values. */
export function plantInRow(place: Place, row: Recipient, victim: string): Recipient {
  const fields = (changed: Record<string, string>): Recipient => ({
    ...row,
    fields: { ...row.fields, ...changed },
  });
  switch (place) {
    case 'To':
      return { ...row, address: victim };
    case 'Subject, encoded word':
      return fields({ name: `王 ${victim}` });
    case 'Chinese body, base64':
      return fields({ note: `附件 ${Buffer.from(CHINESE(victim)).toString('base64')}` });
    case 'Arabic body, quoted-printable':
      return fields({ note: ARABIC(victim) });
    case 'URL, percent-coded':
    case 'URL, base64':
      return fields({ link: linkOf(place, victim).split('=')[1] ?? '' });
    case 'envelope, instead':
      return fields({ own: victim, name: 'Jonas', link: 'kother' });
    default:
      return row;
  }
}

function boundaryOf(layout: Layout): string {
  const text = Buffer.concat([...layout.literals]).toString('latin1');
  return /boundary="?([^"\s;]+)/.exec(text)?.[1] ?? '';
}

/** Changes the slots in place: what reads them later joins the same message. */
export function plantInSlots(
  place: Place,
  layout: Layout,
  slots: Buffer[],
  reader: string,
  victim: string,
): void {
  const append = (slot: number, text: string): void => {
    slots[slot] = Buffer.concat([slots[slot] ?? Buffer.alloc(0), Buffer.from(text, 'utf8')]);
  };
  switch (place) {
    case 'To':
      slots[SLOT.to] = Buffer.from(`<${reader}>,\r\n <${victim}>`);
      break;
    case 'another header':
      append(SLOT.listUnsubscribe, `X-Account-Of: ${victim}\r\n`);
      break;
    case 'Subject, encoded word':
      slots[SLOT.subject] = Buffer.from(encodeHeaderText(`王 ${victim}`, 9));
      break;
    case 'Chinese body, base64': {
      const boundary = boundaryOf(layout);
      const again =
        'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable';
      append(
        NOTE_SLOT,
        `\r\n--${boundary}\r\n${partOf(place, victim)}--${boundary}\r\n${again}\r\n\r\n`,
      );
      break;
    }
    case 'Arabic body, quoted-printable':
      append(NOTE_SLOT, `=\r\n${encodeQuotedPrintable(ARABIC(victim))}`);
      break;
    case 'URL, percent-coded':
    case 'URL, base64':
      append(LINK_SLOT, `=\r\n${encodeQuotedPrintable(`&${linkOf(place, victim).split('?')[1]}`)}`);
      break;
    case 'envelope, instead':
      slots[SLOT.to] = Buffer.from(`<${victim}>`);
      for (const slot of OWN_SLOTS) slots[slot] = Buffer.from(victim);
      break;
    default:
      break;
  }
}

/** A renderer that mixes two customers up, its envelope values included. */
export function plantInRendered(
  place: Place,
  layout: Layout,
  rendered: RenderedSlots,
  victim: string,
): RenderedSlots {
  const { reader } = rendered;
  if (place === 'envelope, instead') return { ...rendered, reader: victim };
  if (place === 'envelope, beside')
    return { ...rendered, reader: `${reader}>\r\nRCPT TO:<${victim}` };
  const slots = rendered.slots.slice();
  plantInSlots(place, layout, slots, reader, victim);
  return { ...rendered, slots };
}

/** What a broken signer gives instead of one field. */
export function plantInSignature(place: Place, field: string, victim: string): string {
  switch (place) {
    case 'To':
      return `${field}To: <${victim}>\r\n`;
    case 'another header':
      return field.replace('; bh=', `; i=${victim}; bh=`);
    case 'Subject, encoded word':
      return `${field}Subject: ${encodeHeaderText(`王 ${victim}`, 9)}\r\n`;
    case 'Chinese body, base64':
    case 'Arabic body, quoted-printable':
      return `${field}Content-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n${partOf(place, victim)}--f--\r\n`;
    case 'URL, percent-coded':
    case 'URL, base64':
      return `${field}X-Track: <${linkOf(place, victim)}>\r\n`;
    default:
      return field;
  }
}

/** What a broken client makes of the bytes it was given. */
export function plantInBytes(place: Place, bytes: Buffer, reader: string, victim: string): Buffer {
  const text = bytes.toString('latin1');
  const boundary = /boundary="?([^"\s;]+)/.exec(text)?.[1] ?? '';
  const header = (field: string): Buffer =>
    Buffer.from(
      text.replace('\r\nMessage-ID:', () => `\r\n${field}\r\nMessage-ID:`),
      'latin1',
    );
  switch (place) {
    case 'To':
      return Buffer.from(
        text.replace(`<${reader}>`, () => `<${reader}>,\r\n <${victim}>`),
        'latin1',
      );
    case 'another header':
      return header(`X-Account-Of: ${victim}`);
    case 'Subject, encoded word':
      return header(`Subject: ${encodeHeaderText(`王 ${victim}`, 9)}`);
    case 'envelope, instead':
    case 'envelope, beside':
      return bytes;
    default:
      return Buffer.from(
        text.replace(
          `\r\n--${boundary}--`,
          () => `\r\n--${boundary}\r\n${partOf(place, victim)}--${boundary}--`,
        ),
        'latin1',
      );
  }
}
