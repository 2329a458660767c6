/**
 * One connection of a mail server: its commands in order, one message after the other.
 * Invariant: a message is accepted by `endOfMessage` alone; whatever breaks before or in it ends in a temporary failure or in a
 * closed connection, which the mail server takes for one (milter_default_action).
 */

import { Fault } from '../../base/errors.ts';
import { GUARD_FAULT } from './answer.ts';
import { type MessageLimits, MilterMessage } from './message.ts';
import {
  ACTION,
  COMMAND,
  CONTINUE,
  malformed,
  negotiationPacket,
  type Packet,
  PROTOCOL_VERSION,
  readNegotiation,
  readTexts,
  SKIP,
  STEP,
} from './wire.ts';

/** Names as the mail server writes them: `i`, `{auth_authen}`. */
export type Macros = ReadonlyMap<string, string>;

/** What the other side can do with our answers. */
export interface Abilities {
  readonly addHeaders: boolean;
  readonly changeHeaders: boolean;
}

/** Answers for a whole message: the packets to write. */
export type EndOfMessage = (
  message: MilterMessage,
  macros: Macros,
  abilities: Abilities,
) => Promise<readonly Buffer[]>;

/** `end`: nothing more is to be said or heard. */
export type Step =
  | { readonly kind: 'answer'; readonly packets: readonly Buffer[] }
  | { readonly kind: 'end' };

const NOTHING: Step = { kind: 'answer', packets: [] };
const GO_ON: Step = { kind: 'answer', packets: [CONTINUE] };

const UNANSWERED: Readonly<Record<string, number>> = {
  [COMMAND.connect]: STEP.connectUnanswered,
  [COMMAND.helo]: STEP.heloUnanswered,
  [COMMAND.rcpt]: STEP.rcptUnanswered,
  [COMMAND.data]: STEP.dataUnanswered,
  [COMMAND.header]: STEP.headersUnanswered,
  [COMMAND.endOfHeaders]: STEP.endOfHeadersUnanswered,
};
const WANTED = Object.values(UNANSWERED).reduce((all, one) => all | one, 0);

/** Those that hold for one message only. */
const OF_A_MESSAGE = [
  COMMAND.mail,
  COMMAND.rcpt,
  COMMAND.data,
  COMMAND.header,
  COMMAND.endOfHeaders,
  COMMAND.body,
  COMMAND.endOfMessage,
];
const MACRO_BYTES_MAX = 65_536;

export class MilterSession {
  readonly #limits: MessageLimits;
  readonly #endOfMessage: EndOfMessage;
  readonly #macros = new Map<string, ReadonlyMap<string, string>>();
  #steps: number | null = null;
  #abilities: Abilities = { addHeaders: false, changeHeaders: false };
  #message: MilterMessage | null = null;

  constructor(limits: MessageLimits, endOfMessage: EndOfMessage) {
    this.#limits = limits;
    this.#endOfMessage = endOfMessage;
  }

  /** Whether a message has begun and has no answer yet. */
  get inMessage(): boolean {
    return this.#message !== null;
  }

  /** @throws Fault `milter.malformed`, `milter.old-protocol`, `milter.out-of-order`. */
  async take({ command, data }: Packet): Promise<Step> {
    if (command === COMMAND.negotiate) return this.#negotiate(data);
    if (command === COMMAND.quit) return { kind: 'end' };
    if (this.#steps === null) throw outOfOrder('a command came before the negotiation');
    switch (command) {
      case COMMAND.macros:
        return this.#define(data);
      case COMMAND.connect:
      case COMMAND.helo:
      case COMMAND.data:
      case COMMAND.endOfHeaders:
      case COMMAND.unknown:
        return this.#replyTo(command);
      case COMMAND.abort:
        this.#forget(OF_A_MESSAGE);
        return NOTHING;
      case COMMAND.quitForNew:
        this.#forget([...this.#macros.keys()]);
        return NOTHING;
      case COMMAND.mail:
        this.#message = new MilterMessage(this.#limits, this.#has(STEP.leadingSpace));
        this.#message.mail(data);
        return GO_ON;
      default:
        return this.#ofMessage(command, data);
    }
  }

  async #ofMessage(command: string, data: Buffer): Promise<Step> {
    const message = this.#message;
    if (message === null) throw outOfOrder(`${nameOf(command)} came before MAIL`);
    switch (command) {
      case COMMAND.rcpt:
        message.rcpt(data);
        return this.#replyTo(command);
      case COMMAND.header:
        message.header(data);
        return this.#replyTo(command);
      case COMMAND.body:
        message.body(data);
        if (message.overrun !== null && this.#has(STEP.skip))
          return { kind: 'answer', packets: [SKIP] };
        return GO_ON;
      case COMMAND.endOfMessage:
        message.body(data);
        return this.#finish(message);
      default:
        throw malformed(`there is no command ${nameOf(command)}`);
    }
  }

  async #finish(message: MilterMessage): Promise<Step> {
    const macros = new Map([...this.#macros.values()].flatMap((some) => [...some]));
    try {
      const packets = await this.#endOfMessage(message, macros, this.#abilities);
      return { kind: 'answer', packets };
    } catch {
      // Who answers reports its own faults; whatever came through all the same passes nothing.
      return { kind: 'answer', packets: [GUARD_FAULT] };
    } finally {
      this.#forget(OF_A_MESSAGE);
    }
  }

  #negotiate(data: Buffer): Step {
    if (this.#steps !== null) throw outOfOrder('a second negotiation');
    const offered = readNegotiation(data);
    if (offered.version < PROTOCOL_VERSION)
      throw new Fault(
        'milter.old-protocol',
        `the mail server speaks version ${offered.version} of the protocol`,
        { remedy: 'Postfix: set milter_protocol = 6' },
      );
    const wanted = WANTED | STEP.skip | STEP.leadingSpace | STEP.noUnknown;
    // >>> 0: bit operations give signed numbers.
    const steps = (offered.steps & wanted) >>> 0;
    const actions = (offered.actions & (ACTION.addHeaders | ACTION.changeHeaders)) >>> 0;
    this.#steps = steps;
    this.#abilities = {
      addHeaders: (actions & ACTION.addHeaders) !== 0,
      changeHeaders: (actions & ACTION.changeHeaders) !== 0,
    };
    const packets = [negotiationPacket({ version: PROTOCOL_VERSION, actions, steps })];
    return { kind: 'answer', packets };
  }

  #define(data: Buffer): Step {
    if (data.length === 0 || data.length > MACRO_BYTES_MAX) throw malformed('macros of odd length');
    const command = String.fromCharCode(data[0] ?? 0);
    if (!Object.values<string>(COMMAND).includes(command))
      throw malformed('macros for no command there is');
    const texts = readTexts(data.subarray(1)).map((text) => text.toString('utf8'));
    const macros = new Map<string, string>();
    for (let i = 0; i + 1 < texts.length; i += 2) macros.set(texts[i] ?? '', texts[i + 1] ?? '');
    this.#macros.set(command, macros);
    return NOTHING;
  }

  #replyTo(command: string): Step {
    return this.#has(UNANSWERED[command] ?? 0) ? NOTHING : GO_ON;
  }

  #has(step: number): boolean {
    return ((this.#steps ?? 0) & step) !== 0;
  }

  #forget(commands: readonly string[]): void {
    this.#message = null;
    for (const command of commands) this.#macros.delete(command);
  }
}

/** The command's byte as a number: what came from outside is not written to a log. */
function nameOf(command: string): string {
  return `0x${command.charCodeAt(0).toString(16)}`;
}

function outOfOrder(what: string): Fault {
  return new Fault('milter.out-of-order', what, {
    remedy: 'let nothing but a mail server speak to this socket',
  });
}
