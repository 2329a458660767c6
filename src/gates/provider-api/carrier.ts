/**
 * Delivers the calls to a provider that were kept, one request for each delivery, whatever the
 * provider.
 *
 * Invariant: a delivery is one request, made once; what may have been carried out is never
 * called undelivered.
 */

import { Fault } from '../../base/errors.ts';
import type { Carrier, Delivery, DeliveryResult, FailedDelivery } from '../../guard/carrier.ts';
import type { ApiCall, EventPost, ProviderAdapter, UpstreamCall } from './adapter.ts';
import { callUpstream, openAgents, readBaseUrl, urlOf } from './upstream.ts';

export interface ProviderCarrierOptions {
  readonly adapter: ProviderAdapter;
  readonly upstream: { readonly baseUrl: string; readonly credential: string };
  /** Where events about kept calls are posted, in the provider's shape; null: nowhere. */
  readonly eventsUrl: string | null;
  readonly log: {
    warn(event: string, fields: Readonly<Record<string, string | number>>): void;
  };
  /** From the start of a request to the end of its answer; 60,000 where it is left out. */
  readonly timeoutMs?: number;
}

export interface ProviderCarrier extends Carrier {
  /** @param id what the caller was answered with, for the events; left out where it is not known */
  tellFailed(kept: Buffer, failed: readonly FailedDelivery[], id?: string): Promise<void>;
  close(): Promise<void>;
}

const VERSION = 1;

/** A call as the bytes that are kept: version, length of the head, head as JSON, body. */
export function encodeKept({ method, path, headers, body }: ApiCall): Buffer {
  return encode({ method, path, headers }, body);
}

/**
 * The call that {@link encodeKept} wrote.
 * @throws Fault `provider-api.kept` for bytes of another version, or of no endpoint of this adapter
 */
export function decodeKept(adapter: ProviderAdapter, bytes: Buffer): ApiCall {
  const { head, body } = decode(bytes);
  const endpoint = adapter.match(head.method, head.path);
  if (endpoint === null || endpoint === 'method-not-allowed') {
    throw new Fault('provider-api.kept', 'a kept call is for no endpoint of this provider');
  }
  return { endpoint, method: head.method, path: head.path, headers: head.headers, body };
}

interface Head {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

function encode(head: Head, body: Buffer): Buffer {
  const text = Buffer.from(JSON.stringify(head), 'utf8');
  const start = Buffer.alloc(5);
  start.writeUInt8(VERSION, 0);
  start.writeUInt32BE(text.length, 1);
  return Buffer.concat([start, text, body]);
}

function decode(bytes: Buffer): { readonly head: Head; readonly body: Buffer } {
  if (bytes.length < 5 || bytes.readUInt8(0) !== VERSION) {
    throw new Fault('provider-api.kept', 'a kept call is of a version that is not known', {
      remedy: 'let the version of the program that kept it deliver it',
    });
  }
  const end = 5 + bytes.readUInt32BE(1);
  const head: Head = JSON.parse(bytes.toString('utf8', 5, end));
  return { head, body: bytes.subarray(end) };
}

function decodeDelivery({ bytes, readers }: Delivery): UpstreamCall {
  const { head, body } = decode(bytes);
  return { method: head.method, path: head.path, headers: head.headers, body, readers };
}

/**
 * The carrier of one provider's gate.
 * @throws Fault `provider-api.upstream` for a base URL that is not HTTP
 */
export function createProviderCarrier(options: ProviderCarrierOptions): ProviderCarrier {
  const { adapter, upstream, log, timeoutMs = 60_000 } = options;
  const baseUrl = readBaseUrl(upstream.baseUrl);
  const eventsUrl = options.eventsUrl === null ? null : readBaseUrl(options.eventsUrl);
  const agents = openAgents();

  const post = async (events: readonly EventPost[]): Promise<void> => {
    if (eventsUrl === null) return;
    for (const { headers, body } of events) {
      const outcome = await callUpstream(
        { url: eventsUrl, method: 'POST', headers, body: Buffer.from(body), timeoutMs },
        agents,
      );
      if (outcome.kind === 'answered' && outcome.status < 300) continue;
      const code = outcome.kind === 'answered' ? `status ${outcome.status}` : outcome.code;
      throw new Fault('provider-api.events', `an event was not taken: ${code}`, {
        where: `gates.${adapter.name}.eventsUrl`,
        remedy: 'see that the address answers POST with 200',
      });
    }
  };

  /** What one accepted request left out is told at once: its other messages are done. */
  const tellItems = async (call: UpstreamCall, answer: string, items: readonly number[]) => {
    log.warn('provider-api.items-refused', { provider: adapter.name, items: items.length });
    const endpoint = adapter.match(call.method, call.path);
    if (endpoint === null || endpoint === 'method-not-allowed') return;
    const { method, path, headers, body } = call;
    const failed = [{ call, answer, kind: 'refused' as const, items }];
    const whole: ApiCall = { endpoint, method, path, headers, body };
    try {
      await post(adapter.failureEvents(whole, failed, null, new Date()));
    } catch (error) {
      log.warn('provider-api.events', { code: error instanceof Fault ? error.code : 'fault' });
    }
  };

  const deliver = async (delivery: Delivery): Promise<DeliveryResult> => {
    const call = decodeDelivery(delivery);
    const url = urlOf(baseUrl, call.path);
    const target = { url, credential: upstream.credential, now: new Date() };
    const headers = { ...call.headers, ...adapter.sign(call, target) };
    const request = { url, method: call.method, headers, body: call.body, timeoutMs };
    const outcome = await callUpstream(request, agents);
    if (outcome.kind !== 'answered') {
      const kind = outcome.kind === 'unreachable' ? 'deferred' : 'uncertain';
      return { kind, answer: outcome.code };
    }
    const { failedItems = [], ...result } = adapter.resultOf(outcome, call);
    if (result.kind === 'accepted' && failedItems.length > 0) {
      await tellItems(call, result.answer, failedItems);
    }
    return result;
  };

  return {
    gate: adapter.name,
    cut: (kept, how) =>
      adapter.rewrite(decodeKept(adapter, kept), how).map(({ readers, body, ...head }) => ({
        bytes: encode(head, body),
        readers,
      })),
    deliver,
    tellFailed: async (kept, failed, id) => {
      if (eventsUrl === null) return;
      const calls = failed.map(({ delivery, answer, kind }) => {
        return { call: decodeDelivery(delivery), answer, kind, items: null };
      });
      const call = decodeKept(adapter, kept);
      await post(adapter.failureEvents(call, calls, id ?? null, new Date()));
    },
    close: async () => {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}
