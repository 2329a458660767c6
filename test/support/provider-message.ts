/**
 * The message that a provider would make of a call, as bytes, so that what its readers see can be read from it as from any
 * other. Written without anything of `src/`.
 */

/** One message that left: its bytes, and everybody whom it went to. */
export interface DeliveredCopy {
  readonly readers: readonly string[];
  readonly bytes: Buffer;
}

export interface ProviderMessage {
  readonly from: string;
  readonly to: readonly string[];
  readonly cc?: readonly string[];
  readonly replyTo?: readonly string[];
  readonly subject: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly texts: readonly { readonly type: string; readonly value: string }[];
  readonly files?: readonly {
    readonly name: string;
    readonly type: string;
    readonly base64: string;
  }[];
}

const BOUNDARY = 'a-boundary-of-the-provider';

/** Name and address as they stand in a header. */
export function mailbox(address: string, name?: string): string {
  return name === undefined || name === ''
    ? address
    : `"${name.replace(/["\\]/g, '\\$&')}" <${address}>`;
}

/** The address in `Name <address>`. */
export function addressIn(text: string): string {
  return /<([^<>]+)>\s*$/.exec(text)?.[1] ?? text.trim();
}

/** A mailbox with or without a name, quoted or not. */
export const MAILBOX: RegExp =
  /^(?:(?:"(?:[^"\\]|\\.)*"|[^<>"]*)\s*<)?(?:"(?:[^"\\]|\\.)*"|[^@<>\s"]+)@[^@<>\s]+>?$/;

/** A list as providers take it in one string: commas outside quotes part it. */
export function listIn(text: string | null | undefined): readonly string[] {
  const parts = (text ?? '').match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
  return parts.map((one) => one.trim()).filter((one) => one !== '');
}

export function providerMessage(message: ProviderMessage): Buffer {
  const { from, to, cc = [], replyTo = [], subject, headers = [], texts, files = [] } = message;
  const field = (name: string, values: readonly string[]): string =>
    values.length === 0 ? '' : `${name}: ${values.join(',\r\n ')}\r\n`;
  const head = [
    field('From', [from]),
    field('To', to),
    field('Cc', cc),
    field('Reply-To', replyTo),
    field('Subject', [subject]),
    ...headers.map(([name, value]) => field(name, [value])),
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/mixed; boundary="${BOUNDARY}"\r\n`,
  ].join('');
  const parts = [
    ...texts.map(
      ({ type, value }) =>
        `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${value.replace(/\r?\n/g, '\r\n')}`,
    ),
    ...files.map(
      ({ name, type, base64 }) =>
        `Content-Type: ${type}; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64.replace(/.{76}/g, '$&\r\n')}`,
    ),
  ];
  const body = parts.map((part) => `--${BOUNDARY}\r\n${part}\r\n`).join('');
  return Buffer.from(`${head}\r\n${body}--${BOUNDARY}--\r\n`, 'utf8');
}
