/** The messages that a provider makes of a call, as its published description says who gets what. */

import type { Provider } from './generator-doors.ts';
import { multipart } from './generator-mime.ts';
import { randomOf } from './generator-random.ts';

interface Made {
  readonly readers: readonly string[];
  readonly bytes: Buffer;
}

type Json = Readonly<Record<string, unknown>>;

/** @throws Error with what the provider would not take. */
export async function providerMessages(
  name: Provider,
  path: string,
  type: string,
  body: Buffer,
): Promise<{ readonly messages: readonly Made[]; readonly given: unknown }> {
  if (name === 'mailgun') {
    const form = await new Response(new Uint8Array(body), {
      headers: { 'content-type': type },
    }).formData();
    return { messages: await mailgun(path, form), given: null };
  }
  const given = JSON.parse(body.toString('utf8'));
  if (name === 'sendgrid') return { messages: sendgrid(given), given };
  if (name === 'ses') return { messages: ses(path, given), given };
  const items = Array.isArray(given) ? given : (given.Messages ?? [given]);
  if (items.length > 500) throw new Error('more than 500 messages');
  return {
    messages: items.map(postmark),
    given: Array.isArray(given) ? given : items.length > 1 ? items : given,
  };
}

interface Person {
  readonly email: string;
  readonly name?: string;
}

interface Composed {
  readonly from: string;
  readonly to: readonly Person[];
  readonly cc: readonly Person[];
  readonly replyTo: readonly string[];
  readonly subject: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly texts: readonly (readonly [type: string, text: string])[];
  readonly files: readonly {
    readonly name: string;
    readonly type: string;
    readonly base64: string;
  }[];
}

const CRLF = '\r\n';
const fixed = randomOf(0, 0);

function wrapped(base64: string): string {
  return base64.replace(/.{76}/g, `$&${CRLF}`);
}

function part(type: string, base64: string, more = ''): string {
  return `Content-Type: ${type}${CRLF}${more}Content-Transfer-Encoding: base64${CRLF}${CRLF}${wrapped(base64)}`;
}

function word(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`;
}

function mailboxOf({ email, name = '' }: Person): string {
  if (name === '') return email;
  const plain = /^[\x20-\x7e]*$/.test(name);
  return `${plain ? `"${name.replace(/["\\]/g, '\\$&')}"` : word(name)} <${email}>`;
}

function compose(mail: Composed): Buffer {
  const people = (all: readonly Person[]): string => all.map(mailboxOf).join(`,${CRLF} `);
  const lines = [`From: ${mail.from}`, `Subject: ${word(mail.subject)}`];
  if (mail.to.length > 0) lines.push(`To: ${people(mail.to)}`);
  if (mail.cc.length > 0) lines.push(`Cc: ${people(mail.cc)}`);
  if (mail.replyTo.length > 0) lines.push(`Reply-To: ${mail.replyTo.join(`,${CRLF} `)}`);
  for (const [name, value] of mail.headers) lines.push(`${name}: ${word(value)}`);
  const texts = mail.texts.map(([type, text]) =>
    part(`${type}; charset=utf-8`, Buffer.from(text).toString('base64')),
  );
  const files = mail.files.map(({ name, type, base64 }) =>
    part(
      type,
      base64,
      `Content-Disposition: attachment; filename="${name.replace(/["\\]/g, '')}"${CRLF}`,
    ),
  );
  const body = multipart(fixed, 'multipart/mixed', [...texts, ...files]);
  return Buffer.from(`${lines.join(CRLF)}${CRLF}MIME-Version: 1.0${CRLF}${body}`);
}

/** A stored template that shows all it is given. */
function storedTemplate(data: unknown): string {
  const shown: string[] = [];
  const show = (value: unknown, name: string): void => {
    if (typeof value !== 'object' || value === null) shown.push(`${name}: ${String(value)}`);
    else for (const [inner, each] of Object.entries(value)) show(each, inner);
  };
  show(data, 'data');
  return `Hello.\n${shown.join('\n')}\n`;
}

interface SendgridBody {
  readonly from: Person;
  readonly subject?: string;
  readonly reply_to?: Person;
  readonly reply_to_list?: readonly Person[];
  readonly content?: readonly { readonly type: string; readonly value: string }[];
  readonly template_id?: string;
  readonly sections?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly attachments?: readonly {
    readonly filename: string;
    readonly type?: string;
    readonly content: string;
  }[];
  readonly personalizations: readonly {
    readonly to: readonly Person[];
    readonly cc?: readonly Person[];
    readonly bcc?: readonly Person[];
    readonly from?: Person;
    readonly subject?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly substitutions?: Readonly<Record<string, string>>;
    readonly dynamic_template_data?: unknown;
  }[];
}

function sendgrid(body: SendgridBody): readonly Made[] {
  if (body.personalizations.length > 1000) throw new Error('more than 1000 personalizations');
  return body.personalizations.map((one) => {
    const replace = (text: string, values: Readonly<Record<string, string>> = {}): string =>
      Object.entries(values).reduce(
        (filled, [tag, value]) => filled.replaceAll(tag, () => value),
        text,
      );
    // A value may name a section, whose text then stands there.
    const fill = (text: string): string => replace(replace(text, one.substitutions), body.sections);
    const texts = (body.content ?? []).map(({ type, value }) => [type, fill(value)] as const);
    if (body.template_id !== undefined)
      texts.push(['text/plain', storedTemplate(one.dynamic_template_data ?? {})]);
    const reply = body.reply_to_list ?? (body.reply_to === undefined ? [] : [body.reply_to]);
    const { to, cc = [], bcc = [] } = one;
    const bytes = compose({
      ...{ to, cc, texts },
      from: mailboxOf(one.from ?? body.from),
      replyTo: reply.map((each) => fill(mailboxOf(each))),
      subject: fill(one.subject ?? body.subject ?? ''),
      headers: Object.entries({ ...body.headers, ...one.headers }).map(([k, v]) => [k, fill(v)]),
      files: (body.attachments ?? []).map(({ filename, type = 'text/plain', content }) => ({
        ...{ name: filename, type, base64: content },
      })),
    });
    return { readers: [...to, ...cc, ...bcc].map(({ email }) => email), bytes };
  });
}

function personOf(text: string): Person {
  const match = /^\s*(?:"((?:[^"\\]|\\.)*)"|([^<>"]*?))\s*<([^<>]+)>\s*$/.exec(text);
  if (match === null) return { email: text.trim() };
  const name = (match[1] ?? match[2] ?? '').replace(/\\(.)/g, '$1');
  return { email: match[3] ?? '', name };
}

interface SesDestination {
  readonly ToAddresses?: readonly string[];
  readonly CcAddresses?: readonly string[];
  readonly BccAddresses?: readonly string[];
}

interface SesTemplate {
  readonly TemplateName?: string;
  readonly TemplateData?: string;
  readonly TemplateContent?: {
    readonly Subject?: string;
    readonly Text?: string;
    readonly Html?: string;
  };
  readonly Headers?: readonly { readonly Name: string; readonly Value: string }[];
  readonly Attachments?: readonly SesFile[];
}

interface SesFile {
  readonly FileName: string;
  readonly ContentType?: string;
  readonly RawContent: string;
}

interface SesBody {
  readonly FromEmailAddress?: string;
  readonly ReplyToAddresses?: readonly string[];
  readonly Destination?: SesDestination;
  readonly Content?: {
    readonly Raw?: { readonly Data: string };
    readonly Simple?: {
      readonly Subject: { readonly Data: string };
      readonly Body: {
        readonly Text?: { readonly Data: string };
        readonly Html?: { readonly Data: string };
      };
      readonly Headers?: SesTemplate['Headers'];
      readonly Attachments?: readonly SesFile[];
    };
    readonly Template?: SesTemplate;
  };
  readonly DefaultContent?: { readonly Template: SesTemplate };
  readonly BulkEmailEntries?: readonly {
    readonly Destination: SesDestination;
    readonly ReplacementHeaders?: SesTemplate['Headers'];
    readonly ReplacementEmailContent?: {
      readonly ReplacementTemplate?: { readonly ReplacementTemplateData?: string };
    };
  }[];
}

const sesReaders = ({
  ToAddresses = [],
  CcAddresses = [],
  BccAddresses = [],
}: SesDestination): readonly string[] =>
  [...ToAddresses, ...CcAddresses, ...BccAddresses].map((text) => personOf(text).email);

function ses(path: string, body: SesBody): readonly Made[] {
  if (path === '/v2/email/outbound-bulk-emails') {
    const { DefaultContent, BulkEmailEntries = [] } = body;
    if (BulkEmailEntries.length > 50) throw new Error('more than 50 entries');
    return BulkEmailEntries.map((entry) => {
      const own = entry.ReplacementEmailContent?.ReplacementTemplate?.ReplacementTemplateData;
      const template = DefaultContent?.Template ?? {};
      return sesTemplated(body, entry.Destination, template, own, entry.ReplacementHeaders);
    });
  }
  const { Content = {}, Destination } = body;
  if (Content.Raw !== undefined) {
    const raw = Buffer.from(Content.Raw.Data, 'base64');
    const readers = sesReaders(Destination ?? {});
    if (readers.length > 50) throw new Error('more than 50 recipients');
    return [{ readers, bytes: withoutBcc(raw) }];
  }
  if (Content.Template !== undefined)
    return [sesTemplated(body, Destination ?? {}, Content.Template)];
  if (Content.Simple === undefined) throw new Error('no content');
  const { Subject, Body, Headers = [], Attachments = [] } = Content.Simple;
  const texts: (readonly [string, string])[] = [];
  if (Body.Text !== undefined) texts.push(['text/plain', Body.Text.Data]);
  if (Body.Html !== undefined) texts.push(['text/html', Body.Html.Data]);
  return [sesMessage(body, Destination ?? {}, Subject.Data, texts, Headers, Attachments)];
}

function sesTemplated(
  body: SesBody,
  destination: SesDestination,
  template: SesTemplate,
  own = '{}',
  replaced: SesTemplate['Headers'] = [],
): Made {
  const data: Json = { ...JSON.parse(template.TemplateData ?? '{}'), ...JSON.parse(own) };
  const fill = (text: string): string =>
    text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(data[name] ?? ''));
  const { Subject = '', Text, Html } = template.TemplateContent ?? {};
  const texts: (readonly [string, string])[] = [];
  if (Text !== undefined) texts.push(['text/plain', fill(Text)]);
  if (Html !== undefined) texts.push(['text/html', fill(Html)]);
  if (template.TemplateName !== undefined) texts.push(['text/plain', storedTemplate(data)]);
  const headers = [...(template.Headers ?? []), ...(replaced ?? [])];
  const { Attachments = [] } = template;
  return sesMessage(body, destination, fill(Subject), texts, headers, Attachments);
}

function sesMessage(
  body: SesBody,
  destination: SesDestination,
  subject: string,
  texts: readonly (readonly [string, string])[],
  headers: NonNullable<SesTemplate['Headers']>,
  files: readonly SesFile[],
): Made {
  const readers = sesReaders(destination);
  if (readers.length > 50) throw new Error('more than 50 recipients');
  const bytes = compose({
    ...{ subject, texts },
    from: body.FromEmailAddress ?? '',
    to: (destination.ToAddresses ?? []).map(personOf),
    cc: (destination.CcAddresses ?? []).map(personOf),
    replyTo: body.ReplyToAddresses ?? [],
    headers: headers.map(({ Name, Value }) => [Name, Value]),
    files: files.map(({ FileName, ContentType = 'application/octet-stream', RawContent }) => ({
      ...{ name: FileName, type: ContentType, base64: RawContent },
    })),
  });
  return { readers, bytes };
}

/** What Postfix, SES and others take away before a message is delivered. */
export function withoutBcc(content: Buffer): Buffer {
  const text = content.toString('latin1');
  const at = text.indexOf('\r\n\r\n');
  if (at < 0) return content;
  const header = text
    .slice(0, at + 2)
    .replace(/^(?:resent-)?bcc[ \t]*:.*(?:\r\n[ \t].*)*\r\n/gim, '');
  return Buffer.from(header + text.slice(at + 2), 'latin1');
}

function mailgunPeople(form: FormData, name: string): readonly Person[] {
  return form
    .getAll(name)
    .flatMap((value) => String(value).split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/))
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map(personOf);
}

async function mailgun(path: string, form: FormData): Promise<readonly Made[]> {
  const [to, cc, bcc] = ['to', 'cc', 'bcc'].map((name) => mailgunPeople(form, name)) as [
    readonly Person[],
    readonly Person[],
    readonly Person[],
  ];
  if (to.length + cc.length + bcc.length > 1000) throw new Error('more than 1000 recipients');
  const given = form.get('recipient-variables');
  const variables: Record<string, Record<string, unknown>> = typeof given === 'string' &&
  given !== ''
    ? JSON.parse(given)
    : {};
  // Nobody has written what an entry that is missing means: then everybody stands in To.
  const batch = Object.keys(variables).length > 0 && to.every(({ email }) => email in variables);
  const also = [...cc, ...bcc];
  const message = form.get('message');
  const raw =
    path.endsWith('.mime') && message instanceof File
      ? Buffer.from(await message.arrayBuffer())
      : null;
  const files = await mailgunFiles(form);
  const audiences = batch ? to.map((one) => [one]) : [to];
  return audiences.map((audience) => {
    const [own] = audience;
    const values = batch && own !== undefined ? (variables[own.email] ?? {}) : {};
    const fill = (text: string): string =>
      !batch || own === undefined
        ? text
        : text
            .replaceAll('%recipient%', own.email)
            .replace(/%recipient\.([\w-]+)%/g, (_, name: string) => String(values[name] ?? ''));
    const readers = [...audience, ...also].map(({ email }) => email);
    if (raw !== null)
      return { readers, bytes: Buffer.from(fill(raw.toString('latin1')), 'latin1') };
    return { readers, bytes: mailgunMessage(form, audience, cc, fill, files) };
  });
}

async function mailgunFiles(form: FormData): Promise<Composed['files']> {
  const files: Composed['files'][number][] = [];
  for (const file of [...form.getAll('attachment'), ...form.getAll('inline')]) {
    if (!(file instanceof File)) continue;
    const base64 = Buffer.from(await file.arrayBuffer()).toString('base64');
    files.push({ name: file.name, type: file.type || 'application/octet-stream', base64 });
  }
  return files;
}

function mailgunMessage(
  form: FormData,
  to: readonly Person[],
  cc: readonly Person[],
  fill: (text: string) => string,
  files: Composed['files'],
): Buffer {
  // Readers see both of these fields.
  const headers: (readonly [string, string])[] = form
    .getAll('o:tag')
    .map((tag) => ['X-Mailgun-Tag', String(tag)]);
  const variables: Record<string, string> = {};
  for (const [name, value] of form) {
    if (name.startsWith('h:')) headers.push([name.slice(2), fill(String(value))]);
    if (name.startsWith('v:')) variables[name.slice(2)] = fill(String(value));
  }
  if (Object.keys(variables).length > 0)
    headers.push(['X-Mailgun-Variables', JSON.stringify(variables)]);
  const texts: (readonly [string, string])[] = [];
  for (const [name, type] of [
    ['text', 'text/plain'],
    ['html', 'text/html'],
  ] as const) {
    const text = form.get(name);
    if (typeof text === 'string') texts.push([type, fill(text)]);
  }
  if (form.has('template'))
    texts.push(['text/plain', storedTemplate(JSON.parse(String(form.get('t:variables') ?? '{}')))]);
  return compose({
    ...{ to, cc, headers, texts, files, replyTo: [] },
    from: String(form.get('from')),
    subject: fill(String(form.get('subject') ?? '')),
  });
}

function postmark(item: Json): Made {
  const people = (name: string): readonly Person[] => {
    const text = item[name];
    if (typeof text !== 'string' || text === '') return [];
    return text.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/).map(personOf);
  };
  const [to, cc, bcc] = [people('To'), people('Cc'), people('Bcc')];
  if (to.length + cc.length + bcc.length > 50) throw new Error('more than 50 recipients');
  const texts: (readonly [string, string])[] = [];
  if (typeof item.TextBody === 'string') texts.push(['text/plain', item.TextBody]);
  if (typeof item.HtmlBody === 'string') texts.push(['text/html', item.HtmlBody]);
  if (item.TemplateModel !== undefined)
    texts.push(['text/plain', storedTemplate(item.TemplateModel)]);
  const headers = (item.Headers ?? []) as readonly {
    readonly Name: string;
    readonly Value: string;
  }[];
  const files = (item.Attachments ?? []) as readonly {
    readonly Name: string;
    readonly ContentType: string;
    readonly Content: string;
  }[];
  const bytes = compose({
    ...{ to, cc, texts },
    from: String(item.From),
    replyTo: typeof item.ReplyTo === 'string' ? [item.ReplyTo] : [],
    subject: String(item.Subject ?? ''),
    headers: headers.map(({ Name, Value }) => [Name, Value]),
    files: files.map(({ Name, ContentType, Content }) => ({
      ...{ name: Name, type: ContentType, base64: Content },
    })),
  });
  return { readers: [...to, ...cc, ...bcc].map(({ email }) => email), bytes };
}
