/** Copies of a message with one foreign address planted in each coding that the independent reader claims to read. */

import { domainToASCII } from 'node:url';

const CODED = /^content-(?:type|transfer-encoding)$/i;

/** Splits a message into the fields that describe its body, the others, and the body. */
function split(message) {
  const text = message.toString('latin1');
  const gap = text.indexOf('\r\n\r\n');
  const fields = text.slice(0, gap).split(/\r\n(?![ \t])/);
  const describes = (field) => CODED.test(field.slice(0, field.indexOf(':')));
  return {
    coded: fields.filter(describes),
    others: fields.filter((field) => !describes(field)),
    body: text.slice(gap + 4),
  };
}

function withField(message, field) {
  return Buffer.concat([Buffer.from(`${field}\r\n`), message]);
}

/** The message inside a multipart/mixed, with another part after it. */
function withPart(message, partFields, partBody) {
  const { coded, others, body } = split(message);
  const type = 'Content-Type: multipart/mixed; boundary="planted here"';
  const head = [...others, type, '', '--planted here', ...coded, '', body].join('\r\n');
  return Buffer.concat([
    Buffer.from(`${head}\r\n--planted here\r\n`, 'latin1'),
    Buffer.from(`${partFields}\r\n\r\n`),
    Buffer.from(partBody),
    Buffer.from('\r\n--planted here--\r\n'),
  ]);
}

function hex(text, prefix) {
  return [...Buffer.from(text)]
    .map((byte) => prefix + byte.toString(16).toUpperCase().padStart(2, '0'))
    .join('');
}

function decimalEntities(text) {
  return [...text].map((character) => `&#${character.codePointAt(0)};`).join('');
}

/** Base64 of text with the address in its middle, broken into lines of 76. */
function base64Lines(text) {
  return Buffer.from(text).toString('base64').replace(/.{76}/g, '$&\r\n');
}

/** @returns list of { name of the coding, bytes of the message } */
export function plantings(message, address) {
  const [local, domain] = address.split('@');
  const plain = 'Content-Type: text/plain; charset=utf-8';
  const html = 'Content-Type: text/html; charset=utf-8';
  const quoted = `${plain}\r\nContent-Transfer-Encoding: quoted-printable`;
  const base64 = `${plain}\r\nContent-Transfer-Encoding: base64`;
  const token = Buffer.from(`see ${address} now`);
  const inner = `Subject: x\r\nTo: <${address}>\r\n\r\nhello`;
  const body = (name, fields, text) => ({ name, bytes: withPart(message, fields, text) });
  const field = (name, text) => ({ name, bytes: withField(message, text) });
  return [
    body('plain text', plain, `ask ${address}.`),
    body('upper case', plain, `ask ${address.toUpperCase()}!`),
    body('in the middle of Chinese text', plain, `请联系 ${address}。谢谢`),
    body('A-labels', plain, `${local}@${domainToASCII(domain)}`),
    body('a mailto link', html, `<a href="mailto:${address}?subject=x">x</a>`),
    body('quoted-printable, every byte', quoted, hex(address, '=')),
    body(
      'quoted-printable, broken at the at sign',
      quoted,
      `${hex(local, '=')}=\r\n=40=\r\n${hex(domain, '=')}`,
    ),
    body(
      'base64 part',
      base64,
      base64Lines(`${'long text before it '.repeat(9)}${address} and after`),
    ),
    body(
      'base64 token in a link',
      html,
      `<a href="https://x.example/?u=${token.toString('base64')}">x</a>`,
    ),
    body('base64url token', html, `<img src="https://x.example/${token.toString('base64url')}">`),
    body(
      'base64url token behind a path',
      plain,
      `https://x.example/p/${token.toString('base64url')}/q`,
    ),
    body('hexadecimal token', plain, `id ${Buffer.from(address).toString('hex')}`),
    body('%40', html, `<a href="https://x.example/?e=${encodeURIComponent(address)}">x</a>`),
    body('%2540', html, `https://x.example/?e=${encodeURIComponent(encodeURIComponent(address))}`),
    body('%40 only', plain, `https://x.example/?e=${local}%40${domain}&x=1`),
    body('&#64;', html, `<p>${local}&#64;${domain}</p>`),
    body('&#x40;', html, `<p>${local}&#x40;${domain}</p>`),
    body('&commat;', html, `<p>${local}&commat;${domain.replaceAll('.', '&period;')}</p>`),
    body('every character an entity', html, `<p>${decimalEntities(address)}</p>`),
    body(
      'elements inside it',
      html,
      `<p>${local}<span>@</span>${domain.replaceAll('.', '<wbr>.')}</p>`,
    ),
    body('invisible characters inside it', html, `<p>${local}\u200b@\u00ad${domain}</p>`),
    body('full-width at sign', plain, `${local}\uff20${domain}`),
    body('an attached message', 'Content-Type: message/rfc822', inner),
    body(
      'an attached message in base64',
      `Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64`,
      base64Lines(inner),
    ),
    body(
      'UTF-16',
      'Content-Type: text/csv; charset=utf-16le',
      Buffer.from(`a,${address}\r\n`, 'utf16le'),
    ),
    field('a second To', `To: "Some One" <${address}>`),
    field('a header of another name', `X-Was-For: ${address}`),
    field('encoded word Q', `Comments: =?utf-8?Q?${hex(address, '=')}?=`),
    field('encoded word B', `Comments: =?UTF-8?B?${Buffer.from(address).toString('base64')}?=`),
    field('folded header', `Comments: one\r\n <${address}>,\r\n two`),
    field('return path', `Return-Path: <bounce+17-${local}=${domain}@bounces.example>`),
  ];
}
