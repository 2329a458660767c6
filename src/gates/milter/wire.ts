/**
 * The bytes of the Sendmail milter protocol, version 6 (libmilter's mfdef.h): packets out of a stream, and packets to write.
 * Invariant: a length is believed only up to a limit, and nothing is set aside for bytes that have not come.
 */

import { Fault } from '../../base/errors.ts';

export const PROTOCOL_VERSION = 6;

/** What the MTA sends: one letter each. */
export const COMMAND = {
  abort: 'A',
  body: 'B',
  connect: 'C',
  macros: 'D',
  endOfMessage: 'E',
  helo: 'H',
  quitForNew: 'K',
  header: 'L',
  mail: 'M',
  endOfHeaders: 'N',
  negotiate: 'O',
  quit: 'Q',
  rcpt: 'R',
  data: 'T',
  unknown: 'U',
} as const;

/** SMFIF_*: what a filter may do to a message. */
export const ACTION = { addHeaders: 0x01, changeHeaders: 0x10 } as const;

/** SMFIP_*: what is left out, and how. */
export const STEP = {
  noUnknown: 0x100,
  skip: 0x400,
  headersUnanswered: 0x80,
  connectUnanswered: 0x1000,
  heloUnanswered: 0x2000,
  rcptUnanswered: 0x8000,
  dataUnanswered: 0x1_0000,
  endOfHeadersUnanswered: 0x4_0000,
  leadingSpace: 0x10_0000,
} as const;

export interface Packet {
  readonly command: string;
  readonly data: Buffer;
}

const LENGTH_BYTES = 4;

/** Takes a stream apart. */
export class PacketReader {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #length = 0;
  /** Bytes wanted before looking again makes sense. */
  #wanted: number = LENGTH_BYTES;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether a packet has begun and not ended. */
  get inPacket(): boolean {
    return this.#length > 0;
  }

  /** The packets that are whole now. @throws Fault `milter.bad-length`: there is no way on in this stream. */
  *push(chunk: Buffer): Generator<Packet> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#wanted) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    this.#wanted = LENGTH_BYTES;
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt32BE(0);
      if (length === 0 || length > this.#bytesMax)
        throw new Fault('milter.bad-length', `a packet says it has ${length} bytes`, {
          remedy: 'let nothing but a mail server speak to this socket',
        });
      const end = LENGTH_BYTES + length;
      if (rest.length < end) {
        this.#wanted = end;
        break;
      }
      yield {
        command: String.fromCharCode(rest[LENGTH_BYTES] ?? 0),
        data: rest.subarray(LENGTH_BYTES + 1, end),
      };
      rest = rest.subarray(end);
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#length = rest.length;
  }
}

export function packet(command: string, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(LENGTH_BYTES + 1);
  head.writeUInt32BE(data.length + 1);
  head.write(command, LENGTH_BYTES, 'latin1');
  return Buffer.concat([head, data]);
}

export const CONTINUE: Buffer = packet('c');
export const ACCEPT: Buffer = packet('a');
export const DISCARD: Buffer = packet('d');
export const PROGRESS: Buffer = packet('p');
export const SKIP: Buffer = packet('s');

/** SMFIR_REPLYCODE: lines of one reply, each beginning with its code. */
export function replyCode(lines: readonly string[]): Buffer {
  // RFC 5321 section 4.5.3.1.5: 512 octets; libmilter takes 980.
  const cut = lines.map((line) => line.replaceAll(/[\0\r\n%]/g, ' ').slice(0, 500));
  return packet('y', Buffer.from(`${cut.join('\r\n')}\0`, 'latin1'));
}

export function addHeader(name: string, value: string): Buffer {
  return packet('h', Buffer.from(`${name}\0${value}\0`, 'latin1'));
}

/** SMFIR_CHGHEADER. @param index which of the fields with this name, from 1. @param value '' deletes the field. */
export function changeHeader(index: number, name: string, value: string): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(index);
  return packet('m', Buffer.concat([number, Buffer.from(`${name}\0${value}\0`, 'latin1')]));
}

export interface Negotiation {
  readonly version: number;
  readonly actions: number;
  readonly steps: number;
}

/** @throws Fault `milter.malformed`. */
export function readNegotiation(data: Buffer): Negotiation {
  if (data.length < 12) throw malformed('the negotiation is too short');
  return {
    version: data.readUInt32BE(0),
    actions: data.readUInt32BE(4),
    steps: data.readUInt32BE(8),
  };
}

export function negotiationPacket({ version, actions, steps }: Negotiation): Buffer {
  const data = Buffer.alloc(12);
  data.writeUInt32BE(version, 0);
  data.writeUInt32BE(actions, 4);
  data.writeUInt32BE(steps, 8);
  return packet(COMMAND.negotiate, data);
}

/** The texts of a packet, each ended by NUL. @throws Fault `milter.malformed` where the last one is not ended. */
export function readTexts(data: Buffer): readonly Buffer[] {
  const texts: Buffer[] = [];
  let start = 0;
  while (start < data.length) {
    const end = data.indexOf(0, start);
    if (end < 0) throw malformed('a text does not end');
    texts.push(data.subarray(start, end));
    start = end + 1;
  }
  return texts;
}

export function malformed(what: string): Fault {
  return new Fault('milter.malformed', `the mail server sent a malformed packet: ${what}`, {
    remedy: 'let nothing but a mail server speak to this socket',
  });
}
