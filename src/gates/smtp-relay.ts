/**
 * The SMTP door: takes mail from a company's programs, has it checked, and relays what passes to the next hop.
 * Invariants: 250 is said only after the next hop's 250 for every recipient; what is split or held is
 * 250 only after it is stored; any other verdict, and any fault, is one answer to the whole transaction at the end of data, and
 * nobody gets the message.
 *
 * The road of what passes is before-queue: nothing is stored. All recipients go to the next hop first; where it refuses one of
 * them, the transaction there is given up before its content, and the client is told how many were refused. So a client never has to guess
 * which recipients of a message got it.
 */

import { Fault } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import type { Decision, Road } from '../guard/check.ts';
import type { Identity } from '../guard/identity.ts';
import { REASONS } from '../policy/reasons.ts';
import { SmtpClient, type SmtpClientOptions } from '../smtp/client.ts';
import type { NextHop } from '../smtp/connection.ts';
import { makeReply, type Reply } from '../smtp/reply.ts';
import { type ServerLimits, startSmtpServer } from '../smtp/server.ts';
import type { SmtpSubmission, SubmissionOutcome } from '../smtp/submission.ts';
import type { RecipientResult } from '../smtp/transaction.ts';
import { type CertificateFiles, readCertificate, watchCertificate } from './certificate-files.ts';
import type { Gate } from './gate.ts';
import { receivedField } from './received-field.ts';
import { encodeKept, HALTED } from './smtp-carrier.ts';

/** Told of faults: a stable code and a sentence, never an address. */
export interface RelayLog {
  warn(event: string, fields: Readonly<Record<string, string | number>>): void;
}

export interface SmtpRelayOptions {
  readonly listen: {
    readonly host: string;
    /** 0: any free port. */
    readonly port: number;
    /** Null: no TLS, for a loopback address. `implicit`: TLS from the first byte (RFC 8314), else STARTTLS is offered. */
    readonly tls: (CertificateFiles & { readonly implicit?: boolean }) | null;
  };
  /** The gate's own name in greeting, EHLO and Received. Default 'undisclosed.invalid'. */
  readonly name?: string;
  /** Who a user with this password is. */
  readonly identities: (
    user: string,
    password: string,
  ) => Identity | null | Promise<Identity | null>;
  /** Who a client that does not authenticate is. Allowed on a loopback address only. */
  readonly anonymousIdentity?: Identity;
  readonly road: Road;
  /** Asked again right before content is handed over: whether this identity's mail stands still by now. */
  readonly halted?: (identity: Identity) => boolean;
  readonly nextHop: Omit<NextHop, 'name'> & Pick<SmtpClientOptions, 'connectionsMax' | 'idleMs'>;
  readonly limits?: Partial<ServerLimits>;
  /** Whether a Received field of ours is put before what passes. Default true; without it a loop ends nowhere. */
  readonly trace?: boolean;
  /** How often the certificate's files are looked at, so that a renewed one is used without a restart; default 10 s. */
  readonly certificateMs?: number;
  readonly log: RelayLog;
}

/** RFC 5321 section 6.3 asks for at least 100; a company's own relays need no more than 50. */
const RECEIVED_MAX = 50;

const NO_IDENTITY = makeReply(530, '5.7.0', 'Authentication is required.');
const LOOP = makeReply(554, '5.4.6', 'The message has passed too many servers: a mail loop.');
const GUARD_FAULT = makeReply(451, '4.7.0', 'The message could not be checked; try again later.');
const UNCERTAIN = makeReply(
  451,
  '4.4.2',
  'The next hop took the message and did not answer: it may have been sent.',
);

/**
 * Starts the gate.
 * @throws Fault `gate.anonymous-not-loopback`, `gate.no-certificate`, `gate.certificate-unreadable`, `gate.bad-certificate`,
 * `smtp.listen-failed`.
 */
export async function startSmtpRelay(options: SmtpRelayOptions): Promise<Gate> {
  const { listen, nextHop } = options;
  const loopback = isLoopback(listen.host);
  if (!loopback) checkOpen(options);
  const tls = listen.tls === null ? null : await readCertificate(listen.tls);
  const implicit = listen.tls?.implicit === true;
  const name = options.name ?? 'undisclosed.invalid';
  const client = new SmtpClient({
    nextHop: { ...nextHop, name },
    ...(nextHop.connectionsMax === undefined ? {} : { connectionsMax: nextHop.connectionsMax }),
    ...(nextHop.idleMs === undefined ? {} : { idleMs: nextHop.idleMs }),
    onFault: (fault) => report(options.log, 'relay.next-hop', fault),
  });
  const server = await startSmtpServer<Identity>({
    listen,
    name,
    ...(tls === null ? {} : { tls: { ...tls, implicit } }),
    authenticate: options.identities,
    authRequired: options.anonymousIdentity === undefined,
    authInClear: loopback,
    onMessage: (submission) => relay(submission, options, name, client),
    onFault: (fault) => report(options.log, 'relay.fault', fault),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const unwatch =
    listen.tls === null || tls === null
      ? () => {}
      : watchCertificate(listen.tls, {
          inUse: tls,
          everyMs: options.certificateMs ?? 10_000,
          onChange: (pem) => server.useCertificate(pem),
          onFault: (fault) => report(options.log, 'relay.certificate', fault),
        });
  const scheme = implicit ? 'smtps' : 'smtp';
  const host = server.host.includes(':') ? `[${server.host}]` : server.host;
  return {
    name: 'smtp-relay',
    address: `${scheme}://${host}:${server.port}`,
    async close() {
      unwatch();
      await server.close();
      await client.close();
    },
  };
}

/** Beyond this machine clients authenticate, and a key is not said in clear. */
function checkOpen({ listen, anonymousIdentity }: SmtpRelayOptions): void {
  const where = `${listen.host}:${listen.port}`;
  if (anonymousIdentity !== undefined)
    throw new Fault('gate.anonymous-not-loopback', 'anyone could send through this gate', {
      where,
      remedy: 'listen on 127.0.0.1, or have clients authenticate',
    });
  if (listen.tls === null)
    throw new Fault('gate.no-certificate', 'nobody could authenticate here without TLS', {
      where,
      remedy: 'name gates.smtp.certificate and gates.smtp.key, or listen on 127.0.0.1',
    });
}

async function relay(
  submission: SmtpSubmission<Identity>,
  options: SmtpRelayOptions,
  name: string,
  client: SmtpClient,
): Promise<SubmissionOutcome> {
  const identity = submission.identity ?? options.anonymousIdentity;
  if (identity === undefined) return { kind: 'refused', reply: NO_IDENTITY };
  if (receivedCount(submission.bytes) > RECEIVED_MAX) return { kind: 'refused', reply: LOOP };
  const { envelope, bytes, dsn } = submission;
  let decision: Decision;
  try {
    decision = await options.road.decide(
      { copies: [{ envelope, bytes }], keep: () => encodeKept(envelope, dsn, bytes) },
      identity,
    );
  } catch (error) {
    report(options.log, 'relay.check', error);
    return { kind: 'deferred', reply: GUARD_FAULT };
  }
  if (decision.action === 'keep') return kept(decision);
  const goesOn = decision.action === 'forward';
  if (!goesOn || (decision.mode === 'enforce' && decision.verdict.kind !== 'pass'))
    return stopped(decision);
  const content =
    options.trace === false
      ? bytes
      : Buffer.concat([receivedField(name, submission.secure), bytes]);
  const outcome = outcomeOf(
    await client.send({
      ...{ envelope, content, dsn, allOrNothing: true },
      stopped: () => (options.halted?.(identity) ? HALTED : null),
    }),
  );
  return decision.mode === 'warn' ? warned(outcome, decision) : outcome;
}

/** Taken: the call is stored, and the carrier brings it on. */
function kept({ verdict, kept: id, entry }: Decision): SubmissionOutcome {
  // A road that keeps says where; without that nobody knows whether it is stored.
  if (id === null) return { kind: 'deferred', reply: GUARD_FAULT };
  const what =
    verdict.kind === 'split'
      ? 'Taken: each recipient is sent a copy of their own.'
      : 'Taken, and held until people have looked at it.';
  const reply = makeReply(250, '2.0.0', `${what} Queued as ${id}. Record ${entry}.`);
  return { kind: 'accepted', reply };
}

/** What would have happened, beside the next hop's own words: only the client's own log will show it. */
function warned(outcome: SubmissionOutcome, { verdict, entry }: Decision): SubmissionOutcome {
  if (outcome.kind !== 'accepted' || verdict.kind === 'pass') return outcome;
  const { reply } = outcome;
  const status = reply.enhanced === '' ? '' : `${reply.enhanced} `;
  const reasons = verdict.reasons.join(',');
  const warning = `${status}Warning ${reasons}: this would have been ${PAST[verdict.kind]}. Record ${entry}.`;
  return { kind: outcome.kind, reply: { ...reply, lines: [...reply.lines, warning] } };
}

const PAST = { split: 'split', hold: 'held', refuse: 'refused', defer: 'deferred' } as const;

/** The one answer to a message that does not pass. */
function stopped({ verdict, action, disclosures, entry }: Decision): SubmissionOutcome {
  const reasons = (verdict.kind === 'pass' ? [] : verdict.reasons).map((id) => REASONS[id]);
  const temporary = reasons.find(({ smtpCode }) => smtpCode === 451);
  const permanent = reasons.find(({ smtpCode }) => smtpCode !== 451);
  if (action !== 'refuse' || permanent === undefined) {
    if (temporary === undefined) return { kind: 'deferred', reply: GUARD_FAULT };
    const reply = makeReply(451, temporary.enhancedStatus, temporary.sentence);
    return { kind: 'deferred', reply };
  }
  const { smtpCode, enhancedStatus, sentence, remedy } = permanent;
  const texts = [sentence, ...wouldHaveMade(disclosures), remedy];
  texts.push(`Nobody got this message. Record ${entry}.`);
  return {
    kind: 'refused',
    reply: {
      code: smtpCode,
      enhanced: enhancedStatus,
      lines: texts.map((text) => `${enhancedStatus} ${text}`),
      text: texts.join(' '),
    },
  };
}

function wouldHaveMade(disclosures: number): readonly string[] {
  if (disclosures === 0) return [];
  const count = disclosures.toLocaleString('en-US');
  return [`It would have made ${count} ${disclosures === 1 ? 'disclosure' : 'disclosures'}.`];
}

/** The next hop's answer for all recipients as the one answer to the client. */
function outcomeOf(results: readonly RecipientResult[]): SubmissionOutcome {
  const [first] = results;
  if (first === undefined || results.some((result) => result.kind === 'uncertain'))
    return { kind: 'deferred', reply: UNCERTAIN };
  const failed = results.filter(isFailure);
  const worst = failed.find((result) => result.kind === 'refused') ?? failed[0];
  if (worst === undefined)
    return first.kind === 'accepted'
      ? { kind: 'accepted', reply: first.reply }
      : { kind: 'deferred', reply: UNCERTAIN };
  const kind = worst.kind === 'refused' ? 'refused' : 'deferred';
  if (worst.stage !== 'rcpt' || results.length === 1)
    return { kind, reply: withoutClosing(worst.reply) };
  const count = failed.length;
  const text =
    `The next hop does not take ${count} of ${results.length} recipients` +
    ` (its first answer: ${worst.reply.code} ${worst.reply.enhanced}).`.replace(' )', ')') +
    ' Nobody got this message.';
  const code = kind === 'refused' ? 550 : 450;
  return { kind, reply: makeReply(code, worst.reply.enhanced, text) };
}

type Failure = RecipientResult & { readonly kind: 'refused' | 'deferred' };

function isFailure(result: RecipientResult): result is Failure {
  return result.kind !== 'accepted' && result.kind !== 'uncertain' && result.stage !== 'withheld';
}

/** 421 would say that we close our connection; it is the next hop that closed its own. */
function withoutClosing(reply: Reply): Reply {
  return reply.code === 421 ? { ...reply, code: 451 } : reply;
}

function receivedCount(bytes: Buffer): number {
  const end = bytes.indexOf('\r\n\r\n');
  const header = bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
  let count = 0;
  for (const _ of header.matchAll(/^received[ \t]*:/gim)) count++;
  return count;
}

function report(log: RelayLog, event: string, error: unknown): void {
  if (error instanceof Fault)
    log.warn(event, { code: error.code, message: error.message, where: error.where ?? '' });
  else log.warn(event, { code: 'fault', message: error instanceof Error ? error.name : 'unknown' });
}
