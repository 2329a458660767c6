/** The ways an address is written in texts, HTML and address fields, so that some program or person reads it. */

import { domainToASCII, domainToUnicode } from 'node:url';
import type { Person } from './generator-people.ts';
import type { Random } from './generator-random.ts';

function parts(address: string): { readonly local: string; readonly domain: string } {
  const at = address.lastIndexOf('@');
  return { local: address.slice(0, at), domain: address.slice(at + 1) };
}

/** The same mailbox in another spelling. */
export function respelled(random: Random, address: string): string {
  const { local, domain } = parts(address);
  switch (random.int(0, 9)) {
    case 0:
      return `${local}@${domain.toUpperCase()}`;
    case 1:
      return address.toUpperCase();
    case 2:
      return `${local}@${domainToASCII(domain)}`;
    case 3:
      return `${local}@${domainToUnicode(domain)}`;
    default:
      return address;
  }
}

/** In a plain text. */
export function inText(random: Random, address: string): string {
  const written = respelled(random, address);
  const { local, domain } = parts(written);
  return random.pick([
    written,
    written,
    `<${written}>`,
    `mailto:${written}`,
    `(${written})`,
    `"${written}"`,
    `contact=${written};`,
    `${written},`,
    `[${written}]`,
    `email:${written}.`,
    `${local}\uff20${domain}`,
    `https://northwind.example/u?e=${encodeURIComponent(written)}`,
  ]);
}

function entities(text: string): string {
  return [...text]
    .map((letter, i) => {
      const code = letter.codePointAt(0) ?? 0;
      return i % 2 === 0 ? `&#${code};` : `&#x${code.toString(16)};`;
    })
    .join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

/** In HTML. */
export function inHtml(random: Random, address: string): string {
  const written = respelled(random, address);
  const safe = escaped(written);
  const { local, domain } = parts(written);
  const coded = encodeURIComponent(written);
  return random.pick([
    `<p>${safe}</p>`,
    `<a href="mailto:${safe}">write</a>`,
    `<a href='mailto:${coded}?subject=hi'>write</a>`,
    `<a href=mailto:office@northwind.example?cc=${coded}>write</a>`,
    `<!-- to: ${safe} -->`,
    `<span style="display:none">${safe}</span>`,
    `<div style="font-size:0;color:#fff">${safe}</div>`,
    `<p>${escaped(local)}&#64;${domain}</p>`,
    `<p>${escaped(local)}&commat;${domain}</p>`,
    `<p>${escaped(local)}&#x40;${domain}</p>`,
    `<p>${entities(written)}</p>`,
    `<a href="https://northwind.example/unsubscribe?email=${coded}">leave</a>`,
    `<p><b>${escaped(local)}</b>@<i>${domain}</i></p>`,
    `<p>${escaped(local)}<wbr>@<wbr>${domain}</p>`,
    `<img src="https://northwind.example/x.png" alt="${safe}">`,
    `<td title="${safe}" data-user="${safe}">x</td>`,
    `<input type="hidden" name="to" value="${safe}">`,
    `<p>${escaped(local)}\uff20${domain}</p>`,
    `<script type="application/ld+json">{"recipient":"${safe}"}</script>`,
    `<style>.x::after{content:"${safe.replaceAll('&quot;', '')}"}</style>`,
  ]);
}

/** As a mailbox of an address field, as most programs write it. */
export function mailbox(random: Random, { name, address }: Person): string {
  return random.pick([address, `<${address}>`, `${name} <${address}>`, `"${name}" <${address}>`]);
}
