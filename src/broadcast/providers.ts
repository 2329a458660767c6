/** Which mailbox provider stands behind a domain: recipients are paced and counted by it. */

/** Domains of the large mailbox providers, rolled up as their MX records are. */
const ROLLUP: Readonly<Record<string, string>> = {
  'gmail.com': 'google',
  'googlemail.com': 'google',
  'outlook.com': 'microsoft',
  'hotmail.com': 'microsoft',
  'live.com': 'microsoft',
  'msn.com': 'microsoft',
  'yahoo.com': 'yahoo',
  'ymail.com': 'yahoo',
  'rocketmail.com': 'yahoo',
  'aol.com': 'yahoo',
  'icloud.com': 'apple',
  'me.com': 'apple',
  'mac.com': 'apple',
  'qq.com': 'tencent',
  'foxmail.com': 'tencent',
  '163.com': 'netease',
  '126.com': 'netease',
  'yeah.net': 'netease',
  'gmx.de': 'gmx',
  'gmx.net': 'gmx',
  'web.de': 'gmx',
  'mail.ru': 'vk',
  'bk.ru': 'vk',
  'list.ru': 'vk',
  'yandex.ru': 'yandex',
  'yandex.com': 'yandex',
  'proton.me': 'proton',
  'protonmail.com': 'proton',
};

/** A domain named in clear is shared by at least this many recipients; rarer ones are `other`. */
export const PROVIDER_RECIPIENTS_MIN = 50;
export const OTHER_PROVIDER = 'other';

/** The provider's name for a canonical domain (lower-case A-labels). */
export function providerOf(domain: string): string {
  return (Object.hasOwn(ROLLUP, domain) ? ROLLUP[domain] : undefined) ?? domain;
}
