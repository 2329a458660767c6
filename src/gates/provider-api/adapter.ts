/**
 * What one provider's API looks like to the gate and to its carrier. A further provider is one more
 * file that fills this in; the gate itself knows no provider.
 */

import type { DeliveryResult, FailedDelivery } from '../../guard/carrier.ts';
import type { Identity } from '../../guard/identity.ts';
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

/** json: `application/json` as UTF-8; urlencoded and multipart: the two forms of HTML. */
export type BodyForm = 'json' | 'urlencoded' | 'multipart';

/** One thing the provider's API can be asked to do and the adapter can inspect. */
export interface Endpoint {
  /** Unique in its adapter: `email-batch`. */
  readonly id: string;
  readonly bodyForms: readonly BodyForm[];
  /** The provider's own limit for a body, in bytes, where it is below the gate's. */
  readonly bodyBytesMax?: number;
}

/** Header fields of a request by lower-case name, as node:http gives them. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** A request as it came. */
export interface ApiRequest {
  readonly method: string;
  /** The request target, with its query where it has one; percent-encoding as it came. */
  readonly path: string;
  readonly headers: RequestHeaders;
  /** The bytes as they came, compressed where they came so. */
  readonly body: Buffer;
}

/** A call to an endpoint, without what only its caller and the gate had to do with each other. */
export interface ApiCall {
  readonly endpoint: Endpoint;
  readonly method: string;
  readonly path: string;
  /** Only `accept`, `content-type` and `user-agent`, and what `forwardedHeaders` names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Never compressed. */
  readonly body: Buffer;
}

/** One request to the provider, still without its credential. */
export interface UpstreamCall {
  readonly method: string;
  /** Begins with a slash; goes after the path of the base URL. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Distinct people it is delivered to. */
  readonly readers: number;
}

/** What the provider answered. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
}

/** Where a call goes, for signing it. */
export interface UpstreamTarget {
  /** The whole URL of this call; its host is the one that the request will name. */
  readonly url: URL;
  /** The provider's key, as the environment holds it. */
  readonly credential: string;
  readonly now: Date;
}

/**
 * What became of one request to the provider. Where a provider takes some of the messages of one
 * request and refuses others, the kind is `accepted` and `failedItems` names the positions of the
 * others, so that they are told of and the rest is not sent twice.
 */
export type UpstreamResult = DeliveryResult & { readonly failedItems?: readonly number[] };

/** A request to the provider that came to nothing; `items`: only these of its messages, null: all. */
export interface FailedCall {
  readonly call: UpstreamCall;
  readonly answer: string;
  readonly kind: FailedDelivery['kind'];
  readonly items: readonly number[] | null;
}

/** One POST to the caller's own webhook, in the provider's shape. */
export interface EventPost {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Whose key this is; the keys are ours, never the provider's. */
export type Callers = (key: string) => Identity | null | Promise<Identity | null>;

export interface ProviderAdapter {
  /** Also the name of its gate on the road: `sendgrid`. */
  readonly name: string;
  /** Request headers that go on beside `accept`, `content-type` and `user-agent`; lower case. */
  readonly forwardedHeaders?: readonly string[];
  /** The endpoint of a request line; null where the provider has none that can be inspected. */
  match(method: string, path: string): Endpoint | 'method-not-allowed' | null;
  /** What the request's headers make impossible to pass on, such as a subuser; null where nothing. */
  headerProblem?(headers: RequestHeaders): GateProblem | null;
  /**
   * Whether `authenticate` reads the body: then it is called with the body, else before the body is
   * read and with none.
   */
  readonly signsBody: boolean;
  /** Who calls, found by comparing the request's credential with our own keys; null: nobody. */
  authenticate(request: ApiRequest, callers: Callers): Promise<Identity | null>;
  /** The call as its readers would get it. Never throws for bad input. */
  read(call: ApiCall): CallReading;
  /** The provider's answer to a malformed call. */
  invalid(errors: readonly CallError[], endpoint: Endpoint): ProviderAnswer;
  /** The answer to refuse and defer, in the shape the provider's own packages throw. */
  refusal(judgement: Judgement, copies: readonly Submission[], endpoint: Endpoint): ProviderAnswer;
  problem(problem: GateProblem): ProviderAnswer;
  /** The provider's answer to success, with one id that stands for all that will be sent. */
  accepted(id: string, call: ApiCall): ProviderAnswer;
  /**
   * The call in the API's safe shape, each reader shown to nobody (`private`), or as it was
   * (`whole`). The same requests in the same order each time.
   * @throws Fault `guard.cannot-cut` where there is no such shape
   */
  rewrite(call: ApiCall, how: 'private' | 'whole'): readonly UpstreamCall[];
  /** The header fields that make a request the provider's customer's: our key, or a signature. */
  sign(call: UpstreamCall, target: UpstreamTarget): Readonly<Record<string, string>>;
  /** What an answer to one of the requests of `rewrite` means. */
  resultOf(answer: UpstreamAnswer, call: UpstreamCall): UpstreamResult;
  /**
   * What the provider's webhook would say of calls that came to nothing, with the addresses that
   * the caller gave. Empty where there is nothing to say.
   * @param id the id that `accepted` had; null where it is not known
   */
  failureEvents(
    call: ApiCall,
    failed: readonly FailedCall[],
    id: string | null,
    now: Date,
  ): readonly EventPost[];
}
