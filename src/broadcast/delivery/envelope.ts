/** The envelope of one message on one connection: its commands, and the replies to them. */

import type { Reply } from '../../smtp/reply.ts';
import type { Outgoing } from './outgoing.ts';

/** A message whose commands are on their way, or answered and waiting for their content. */
export interface Envelope {
  readonly message: Outgoing;
  /** MAIL, RCPT and DATA, as the last look sees them. */
  readonly commands: Buffer;
  /** Commands that wait for the reply to the one before: without PIPELINING. */
  readonly unsent: Buffer[];
  /** To MAIL, RCPT, DATA. */
  readonly replies: Reply[];
}

/** Exactly one recipient: there is no form for a second. */
export function envelopeOf(message: Outgoing, pipelining: boolean): Envelope {
  const mail = `MAIL FROM:<${message.returnPath}>${message.smtpUtf8 ? ' SMTPUTF8' : ''}\r\n`;
  const commands = Buffer.from(`${mail}RCPT TO:<${message.reader}>\r\nDATA\r\n`, 'utf8');
  return { message, commands, unsent: pipelining ? [commands] : lines(commands), replies: [] };
}

function lines(commands: Buffer): Buffer[] {
  const each: Buffer[] = [];
  for (let start = 0; start < commands.length; ) {
    const end = commands.indexOf(0x0a, start) + 1;
    each.push(commands.subarray(start, end));
    start = end;
  }
  return each;
}
