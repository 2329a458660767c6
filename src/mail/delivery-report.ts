/**
 * A delivery status notification (RFC 3464 in a multipart/report of RFC 6522): tells a sender whom a message did not reach.
 *
 * Invariant: it names the readers it is about and nobody else; what it returns of the message is the caller's to have cleared of
 * other readers. It is ASCII, so any next hop can carry it, unless what it returns is not or its own reader needs SMTPUTF8.
 */

import { headerField } from './encode-header.ts';

export interface ReportedRecipient {
  /** As it stood on the envelope. */
  readonly address: string;
  /** ORCPT as it was given, `rfc822;ann+40x.test`; '' where there was none. */
  readonly original: string;
  /** RFC 3463: '5.1.1'. */
  readonly status: string;
  /** The reply of the next hop, printable and without line breaks; '' where there was none. */
  readonly diagnostic: string;
}

export interface DeliveryReport {
  /** The host that reports, and whose `mailer-daemon` it is from. */
  readonly host: string;
  /** Who is told; one address in the form of the envelope. */
  readonly to: string;
  /** RFC 5322 date. */
  readonly date: string;
  /** Unique, without the host: letters, digits, '-'. */
  readonly id: string;
  /** ENVID in xtext, as it was given; '' where there was none. */
  readonly envelopeId: string;
  /** One sentence for people on what happened. */
  readonly sentence: string;
  readonly recipients: readonly ReportedRecipient[];
  /** What is returned of the message: its header (RET=HDRS) or all of it (RET=FULL). */
  readonly returned: { readonly whole: boolean; readonly bytes: Uint8Array };
}

const NOT_ASCII = /[\u0080-\uffff]/;
/** A field of a status report is one line to us; more than a reply line is of use to nobody. */
const DIAGNOSTIC_MAX = 500;

/** The whole message, every line ended by CRLF. */
export function composeDeliveryReport(report: DeliveryReport): Buffer {
  const boundary = `=_${report.id}`;
  const returned = Buffer.from(report.returned.bytes);
  const foreign = returned.some((byte) => byte > 127);
  const encoding = { utf8: NOT_ASCII.test(report.to) };
  const head = [
    headerField('From', `Mail Delivery System <mailer-daemon@${report.host}>`),
    headerField('To', report.to, encoding),
    headerField('Subject', 'Undelivered mail'),
    headerField('Date', report.date),
    headerField('Message-ID', `<${report.id}@${report.host}>`),
    headerField('Auto-Submitted', 'auto-replied'),
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"\r\n`,
    foreign ? 'Content-Transfer-Encoding: 8bit\r\n' : '',
    '\r\n',
  ].join('');
  const type = report.returned.whole ? 'message/rfc822' : 'text/rfc822-headers';
  const text = [
    `--${boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n${forPeople(report)}\r\n`,
    `--${boundary}\r\nContent-Type: message/delivery-status\r\n\r\n${forPrograms(report)}\r\n`,
    `--${boundary}\r\nContent-Type: ${type}\r\n`,
    foreign ? 'Content-Transfer-Encoding: 8bit\r\n' : '',
    '\r\n',
  ].join('');
  const end = `\r\n--${boundary}--\r\n`;
  return Buffer.concat([Buffer.from(head + text), returned, Buffer.from(end)]);
}

function forPeople({ host, sentence, recipients }: DeliveryReport): string {
  const lines = recipients.map(({ address, status, diagnostic }) => {
    const said = diagnostic === '' ? '' : `: ${ascii(diagnostic)}`;
    return `<${readable(address)}> (${status})${said}`;
  });
  return [`This is the mail system at ${host}.`, '', ascii(sentence), '', ...lines, ''].join(
    '\r\n',
  );
}

/** RFC 3464 section 2: one group of fields for the message, one for each recipient. */
function forPrograms({ host, envelopeId, recipients }: DeliveryReport): string {
  const message = [
    `Reporting-MTA: dns; ${host}\r\n`,
    envelopeId === '' ? '' : `Original-Envelope-Id: ${fromXtext(envelopeId)}\r\n`,
  ];
  const groups = recipients.map(({ address, original, status, diagnostic }) =>
    [
      original === '' ? '' : `Original-Recipient: ${originalRecipient(original)}\r\n`,
      `Final-Recipient: ${NOT_ASCII.test(address) ? 'utf-8' : 'rfc822'}; ${readable(address)}\r\n`,
      'Action: failed\r\n',
      `Status: ${status}\r\n`,
      diagnostic === '' ? '' : `Diagnostic-Code: smtp; ${ascii(diagnostic)}\r\n`,
    ].join(''),
  );
  return [message.join(''), ...groups].join('\r\n');
}

/** `type;xtext` of RFC 3461 section 4.2 as `type; text`. */
function originalRecipient(orcpt: string): string {
  const at = orcpt.indexOf(';');
  const type = orcpt.slice(0, at);
  return `${ascii(type)}; ${readable(fromXtext(orcpt.slice(at + 1)))}`;
}

/** RFC 3461 section 4; what would be a control character stays encoded. */
function fromXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (whole, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code > 32 && code < 127 ? String.fromCharCode(code) : whole;
  });
}

/** RFC 6533 section 3: utf-8-addr-xtext, the form that ASCII can carry. */
function readable(address: string): string {
  let text = '';
  for (const character of address) {
    const code = character.codePointAt(0) ?? 0;
    text += code > 32 && code < 127 ? character : `\\x{${code.toString(16).toUpperCase()}}`;
  }
  return text;
}

function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, DIAGNOSTIC_MAX);
}
