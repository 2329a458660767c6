/**
 * The one road with the ledger: judge, look at what stands around the call, record, keep what is split or held, then answer.
 * Invariant: a gate answers after the commit that holds its verdict and, where the call is kept, the sealed call itself; what
 * cannot be judged, recorded or kept is deferred, never passed.
 */

import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { needsPrivateCopies, verdictOf } from '../policy/decide.ts';
import type { ReasonId } from '../policy/reasons.ts';
import type { Verdict } from '../policy/verdict.ts';
import type { Database, Transaction } from '../store/database.ts';
import type { VerdictRow } from '../store/verdicts.ts';
import { withAttachments } from './attachments.ts';
import type { Greetings } from './greetings.ts';
import type { Identity, Mode } from './identity.ts';
import { type Judgement, type JudgeSettings, judgeCopies, type Submission } from './judge.ts';
import { type LookAtTokens, openTokenOwners, type TokenLook } from './token-owners.ts';
import { VerdictBook } from './verdict-book.ts';

/** What a gate does now. keep: the call is stored, to be delivered or to wait for people; the caller is told it was taken. */
export type Action = 'forward' | 'keep' | 'refuse' | 'defer';

export interface Decision extends Judgement {
  /** Id of the recorded verdict, for the caller's own log. */
  readonly entry: string;
  readonly action: Action;
  readonly mode: Mode;
  /** The one id that answers the caller; null unless kept. */
  readonly kept: string | null;
}

/** A call at a gate: one message at a time by SMTP, one or many by an API. */
export interface GuardedCall {
  /** The messages as their readers would get them. */
  readonly copies: readonly Submission[];
  /** What the gate's carrier cuts and delivers later; asked for only where the call is kept. */
  readonly keep: () => Buffer;
}

export interface Road {
  decide(call: GuardedCall, identity: Identity): Promise<Decision>;
}

/** What stands around a call, beside its bytes. */
export interface Circumstances {
  /** Reasons of freezes, the exposure budget, sizes and locks. Rejects where they cannot be known: the call is deferred. */
  assess(
    call: GuardedCall,
    identity: Identity,
    judgement: Judgement,
  ): Promise<{ readonly reasons: readonly ReasonId[]; readonly campaign: number | null }>;
  /** What is known of halts here; left out where they are thrown in this process alone. */
  readonly halts?: {
    /** Whether that is recent enough to let mail leave by it. */
    readonly known: boolean;
    /** Reads it again. @throws Fault `database.*`. */
    look(): Promise<void>;
  };
}

export interface KeepRequest {
  readonly gate: string;
  readonly identity: string;
  readonly kind: 'split' | 'hold';
  readonly cut: 'private' | 'whole';
  /** Id of the verdict. */
  readonly verdict: string;
  readonly reasons: readonly ReasonId[];
  readonly campaign: number | null;
  readonly readers: number;
  readonly disclosures: number;
  readonly bytes: Buffer;
}

/** Sealed and cut, not yet stored. */
export interface Sealed {
  readonly request: KeepRequest;
  readonly store: (tx: Transaction) => Promise<string>;
}

/** Where kept calls go. */
export interface Keeper {
  /** Seals a call and cuts it. @throws Fault `guard.cannot-cut` where its gate can make no deliveries of it. */
  seal(request: KeepRequest): Sealed;
  /** Something was committed that may be delivered now. */
  wake(): void;
}

export interface GuardOptions {
  readonly db: Database;
  readonly settings: (identity: Identity) => JudgeSettings;
  /** Whether this identity's mail stands still: a halt. */
  readonly halted: (identity: Identity) => boolean;
  readonly circumstances: Circumstances;
  /** Readers' own records, where the text greets somebody. Left out where there is no register. */
  readonly greetings?: Greetings;
  readonly keeper: Keeper;
  /** Told of faults by their code and sentence. */
  readonly onFault?: (error: unknown) => void;
}

export interface Guard {
  /** The road for one gate. */
  road(gate: string): Road;
  /** Whether this identity's mail stands still, as far as is known: asked again right before content is handed over. */
  halted(identity: Identity): boolean;
  close(): Promise<void>;
}

function actionOf(verdict: Verdict, mode: Mode): Action {
  if (verdict.kind === 'pass') return 'forward';
  if (verdict.kind === 'defer') return 'defer';
  if (mode !== 'enforce') return 'forward';
  return verdict.kind === 'refuse' ? 'refuse' : 'keep';
}

interface Assessed {
  readonly judgement: Judgement;
  readonly campaign: number | null;
}

class GateRoad implements Road {
  readonly #gate: string;
  readonly #options: GuardOptions;
  readonly #book: VerdictBook;
  readonly #lookAt: LookAtTokens;

  constructor(gate: string, options: GuardOptions, book: VerdictBook, lookAt: LookAtTokens) {
    this.#gate = gate;
    this.#options = options;
    this.#book = book;
    this.#lookAt = lookAt;
  }

  async decide(call: GuardedCall, identity: Identity): Promise<Decision> {
    const look = this.#lookAt(call, identity);
    const decision = await this.#decide(call, identity, look);
    // What is put off comes again; what waits for people may be wrong for a reason that the judge does not see.
    if (decision.action === 'keep' || decision.action === 'refuse') look.unlearn();
    return decision;
  }

  async #decide(call: GuardedCall, identity: Identity, look: TokenLook): Promise<Decision> {
    const assessed = await this.#assess(call, identity, look);
    const { mode } = identity;
    const action = actionOf(assessed.judgement.verdict, mode);
    const entry = newId('v');
    if (action !== 'keep') return this.#enter(assessed, identity, entry, action, null);
    let sealed: Sealed;
    try {
      sealed = this.#options.keeper.seal(this.#keepRequest(call, identity, assessed, entry));
    } catch (error) {
      // What cannot be cut into deliveries is no smaller a fault than it was: the whole call is refused.
      if (error instanceof Fault && error.code === 'guard.cannot-cut')
        return this.#enter(refused(assessed), identity, entry, 'refuse', null);
      this.#options.onFault?.(error);
      return this.#enter(deferred(assessed, 'guard-fault'), identity, entry, 'defer', null);
    }
    return this.#enter(assessed, identity, entry, action, sealed);
  }

  async #assess(call: GuardedCall, identity: Identity, look: TokenLook): Promise<Assessed> {
    const settings = { ...this.#options.settings(identity), hadByOther: look.hadByOther };
    const opened = withAttachments(call.copies);
    const copies = opened instanceof Promise ? await opened : opened;
    // People greet as they like.
    const greeted = identity.policy === 'person' ? undefined : this.#options.greetings?.(copies);
    let judgement: Judgement;
    if (!greeted?.records) judgement = judgeCopies(greeted?.copies ?? copies, settings);
    else {
      try {
        const recordOf = await greeted.records;
        judgement = judgeCopies(greeted.copies, { ...settings, recordOf });
      } catch (error) {
        this.#options.onFault?.(error);
        return deferred(
          { judgement: judgeCopies(copies, settings), campaign: null },
          'guard-fault',
        );
      }
    }
    if (judgement.verdict.kind === 'pass') look.learn();
    const judged: Assessed = { judgement, campaign: null };
    if (this.#options.halted(identity)) return deferred(judged, 'halted');
    if (judgement.verdict.kind === 'defer') return judged;
    try {
      const around = await this.#options.circumstances.assess(call, identity, judgement);
      if (around.reasons.length === 0) return { judgement, campaign: around.campaign };
      const before = judgement.verdict.kind === 'pass' ? [] : judgement.verdict.reasons;
      const reasons = [...new Set([...before, ...around.reasons])];
      const verdict = verdictOf(reasons, judgement.readers, settings.policy);
      return { judgement: { ...judgement, verdict }, campaign: around.campaign };
    } catch (error) {
      this.#options.onFault?.(error);
      return deferred(judged, 'guard-fault');
    }
  }

  #keepRequest(
    call: GuardedCall,
    identity: Identity,
    { judgement, campaign }: Assessed,
    entry: string,
  ): KeepRequest {
    const { verdict, readers, disclosures } = judgement;
    const reasons = verdict.kind === 'pass' ? [] : verdict.reasons;
    return {
      gate: this.#gate,
      identity: identity.name,
      kind: verdict.kind === 'split' ? 'split' : 'hold',
      cut: needsPrivateCopies(reasons) ? 'private' : 'whole',
      verdict: entry,
      reasons,
      campaign,
      readers,
      disclosures,
      bytes: call.keep(),
    };
  }

  async #enter(
    { judgement, campaign }: Assessed,
    identity: Identity,
    entry: string,
    action: Action,
    sealed: Sealed | null,
  ): Promise<Decision> {
    const { verdict, readers, disclosures } = judgement;
    const { mode } = identity;
    const row: VerdictRow = {
      id: entry,
      at: new Date(),
      gate: this.#gate,
      identity: identity.name,
      verdict: verdict.kind,
      reasons: verdict.kind === 'pass' ? [] : verdict.reasons,
      readers,
      disclosures,
      mode,
      action,
      campaign,
    };
    const { recorded, kept } = await this.#book.enter(row, sealed);
    const decision: Decision = { ...judgement, entry, action, mode, kept };
    if (!recorded) return putOff(decision, 'ledger-unavailable');
    if (sealed !== null) this.#options.keeper.wake();
    return action === 'forward' ? this.#unlessHalted(decision, identity) : decision;
  }

  /** What was judged before a halt and not yet handed over does not go on; nor where nobody knows of halts. */
  async #unlessHalted(decision: Decision, identity: Identity): Promise<Decision> {
    const { halts } = this.#options.circumstances;
    try {
      if (halts?.known === false) await halts.look();
    } catch (error) {
      this.#options.onFault?.(error);
      return putOff(decision, 'guard-fault');
    }
    return this.#options.halted(identity) ? putOff(decision, 'halted') : decision;
  }
}

type Doubt = 'halted' | 'ledger-unavailable' | 'guard-fault';

function putOff(decision: Decision, reason: Doubt): Decision {
  return {
    ...decision,
    verdict: { kind: 'defer', reasons: [reason] },
    action: 'defer',
    kept: null,
  };
}

function deferred({ judgement, campaign }: Assessed, reason: Doubt): Assessed {
  return { judgement: { ...judgement, verdict: { kind: 'defer', reasons: [reason] } }, campaign };
}

/** A split or hold that cannot be carried out, as the refusal it would be at a gate without either. */
function refused({ judgement, campaign }: Assessed): Assessed {
  const reasons = judgement.verdict.kind === 'pass' ? [] : judgement.verdict.reasons;
  return { judgement: { ...judgement, verdict: { kind: 'refuse', reasons } }, campaign };
}

export function createGuard(options: GuardOptions): Guard {
  const book = new VerdictBook(options.db);
  const lookAt = openTokenOwners();
  return {
    road: (gate) => new GateRoad(gate, options, book, lookAt),
    halted: (identity) => options.halted(identity) || options.circumstances.halts?.known === false,
    close: () => book.close(),
  };
}
