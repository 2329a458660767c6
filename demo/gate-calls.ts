/** How the demo's people and programs speak to the gates, and what an answer means: taken is not sent, where the gate keeps it. */

import { createRequire } from 'node:module';

export type GateVerdict = 'pass' | 'split' | 'hold' | 'refuse' | 'defer';

/** The verdict as an SMTP client can tell it from the gate's own reply. */
export function smtpVerdict({ code, text }: { code: number; text: string }): GateVerdict {
  if (code !== 250) return code >= 500 ? 'refuse' : 'defer';
  if (text.includes('held until')) return 'hold';
  return text.includes('copy of their own') ? 'split' : 'pass';
}

/** The package's own: the provider's answer first. */
type Answer = readonly [{ readonly headers: Readonly<Record<string, unknown>> }, unknown];

export interface SendGrid {
  setApiKey(key: string): void;
  client: { setDefaultRequest(name: string, value: string): void };
  send(mail: object): Promise<Answer>;
  sendMultiple(mail: object): Promise<Answer>;
}

/** The official package, led to the gate. */
export function sendGridAt(url: string, key: string): SendGrid {
  const sendgrid = createRequire(import.meta.url)('@sendgrid/mail') as SendGrid;
  sendgrid.setApiKey(key);
  // After setApiKey, which resets it.
  sendgrid.client.setDefaultRequest('baseUrl', url);
  return sendgrid;
}

/** Of an accepted call: an id of ours is that of a kept one. */
export function sendGridVerdict([{ headers }]: Answer): 'pass' | 'hold' {
  return String(headers['x-message-id']).startsWith('k-') ? 'hold' : 'pass';
}
