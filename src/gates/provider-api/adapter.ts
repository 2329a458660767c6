/**
 * What one provider's API looks like to the gate. A further provider is one more file that fills
 * this in; the gate itself knows no provider.
 */

import type { Judgement, Submission } from '../../guard/judge.ts';

/** One thing wrong with a call; never holds an address. */
export interface CallError {
  readonly message: string;
  /** The place in the body, such as `personalizations.0.to`; null where it is the whole call. */
  readonly field: string | null;
  readonly help: string | null;
}

/** A call as the messages its readers would get, or what is wrong with it. */
export type CallReading =
  | { readonly kind: 'copies'; readonly copies: readonly Submission[] }
  | { readonly kind: 'invalid'; readonly errors: readonly CallError[] };

export interface ProviderAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What the gate itself has to answer, without the provider and without a verdict. */
export type GateProblem =
  | 'unauthorised'
  | 'not-found'
  | 'method-not-allowed'
  | 'too-large'
  | 'unsupported-body'
  | 'subuser'
  | 'busy'
  /** The guard could not judge: nothing was passed on, a retry is safe. */
  | 'fault'
  /** The provider could not be reached: nothing was passed on, a retry is safe. */
  | 'upstream-unreachable'
  /** The call was written and no answer came: it may have been carried out. */
  | 'upstream-uncertain';

export interface ProviderRoute {
  readonly method: string;
  readonly path: string;
}

export interface ProviderAdapter {
  readonly name: string;
  readonly routes: readonly ProviderRoute[];
  /** Reads the decoded body of a call to one of the routes. Never throws for bad input. */
  read(body: Uint8Array): CallReading;
  /** The provider's answer to a malformed call. */
  invalid(errors: readonly CallError[]): ProviderAnswer;
  /** The answer to a verdict that is not `pass`, in the shape the provider's own packages throw. */
  refusal(judgement: Judgement, copies: readonly Submission[]): ProviderAnswer;
  problem(problem: GateProblem): ProviderAnswer;
  /** The key in the headers of a caller's request; null where there is none. */
  bearer(headers: Readonly<Record<string, string | string[] | undefined>>): string | null;
  /** The headers that carry the upstream key. */
  authorisation(apiKey: string): Readonly<Record<string, string>>;
}
