/** A provider's gate and the carrier of what it keeps, by the provider's name: the one place that knows which providers there are. */

import type { KeyObject } from 'node:crypto';
import type { Carrier } from '../guard/carrier.ts';
import type { Road } from '../guard/check.ts';
import type { Submission } from '../guard/judge.ts';
import type { Gate } from './gate.ts';
import type { Callers, ProviderAdapter } from './provider-api/adapter.ts';
import { createProviderCarrier, decodeKept } from './provider-api/carrier.ts';
import { createMailgunAdapter } from './provider-api/mailgun.ts';
import { createPostmarkAdapter } from './provider-api/postmark.ts';
import { createSendgridAdapter } from './provider-api/sendgrid.ts';
import { createSesAdapter } from './provider-api/ses.ts';
import { type SigV4Key, sigv4Keys } from './provider-api/sigv4.ts';
import { type ProviderApiLog, type ProviderApiOptions, startProviderApi } from './provider-api.ts';

/** The messages in what a gate kept; null where it holds none that can be read. */
export type CopiesOf = (kept: Buffer) => readonly Submission[] | null;

export type ProviderName = 'sendgrid' | 'ses' | 'mailgun' | 'postmark';

export interface ProviderOptions {
  readonly name: ProviderName;
  readonly listen: ProviderApiOptions['listen'];
  readonly approvedTemplates: readonly string[] | 'any';
  readonly upstream: { readonly baseUrl: string; readonly credential: string };
  readonly eventsUrl: string | null;
  readonly callers: Callers;
  /** Secrets of signing callers are derived from it, so that none is stored. */
  readonly tokenKey: KeyObject;
  readonly road: Road;
  readonly log: ProviderApiLog;
  /** Given the carrier before the gate opens, and what reads its kept calls as their readers would get them. */
  carry(carrier: Carrier, copiesOf: CopiesOf): void;
}

/** The key pair of one caller of the SES gate, as only that gate with this token key takes it. Nothing of it is stored. */
export function issueSesKey(name: string, tokenKey: KeyObject): SigV4Key {
  return sigv4Keys(tokenKey).issue(name);
}

function adapterOf({ name, approvedTemplates, tokenKey }: ProviderOptions): ProviderAdapter {
  switch (name) {
    case 'sendgrid':
      return createSendgridAdapter({ approvedTemplates });
    case 'ses':
      return createSesAdapter({ approvedTemplates, keys: sigv4Keys(tokenKey) });
    case 'mailgun':
      return createMailgunAdapter({ approvedTemplates });
    case 'postmark':
      return createPostmarkAdapter({ approvedTemplates });
  }
}

/** Opens the gate; closing it closes its carrier too. */
export async function startProvider(options: ProviderOptions): Promise<Gate> {
  const { listen, upstream, eventsUrl, callers, road, log } = options;
  const adapter = adapterOf(options);
  const carrier = createProviderCarrier({ adapter, upstream, eventsUrl, log });
  options.carry(carrier, (kept) => {
    const reading = adapter.read(decodeKept(adapter, kept));
    return reading.kind === 'copies' ? reading.copies : null;
  });
  const gate = await startProviderApi({ listen, callers, road, adapter, upstream, log });
  return {
    ...gate,
    close: async () => {
      await gate.close();
      await carrier.close();
    },
  };
}
