/** A plan as the request of its door: bytes for SMTP and a milter, and the calls of the providers' published APIs. */

import { type Attached, headerText, type Mail, writeMail } from './generator-mime.ts';
import type { Person } from './generator-people.ts';
import { filled, type Plan, type PlanCopy, readersOf, tagged } from './generator-plan.ts';
import type { Random } from './generator-random.ts';
import { mailbox } from './generator-spellings.ts';

export type Provider = 'sendgrid' | 'ses' | 'mailgun' | 'postmark';

export type SubmissionRequest =
  | {
      readonly kind: 'smtp' | 'milter';
      readonly from: string;
      readonly recipients: readonly string[];
      readonly content: Buffer;
    }
  | {
      readonly kind: 'http';
      readonly provider: Provider;
      readonly path: string;
      readonly contentType: string;
      readonly body: Buffer;
    };

/** Templates that stand at the providers; what they show is the far side's business. */
export const TEMPLATES = {
  sendgrid: 'd-0123456789abcdef0123456789abcdef',
  ses: 'receipt',
  mailgun: 'receipt',
  postmark: 'welcome',
} as const;

const DATE = 'Mon, 2 Feb 2026 10:00:00 +0000';

type Field = readonly [name: string, value: string];

function shuffled(random: Random, fields: readonly Field[]): readonly Field[] {
  if (random.chance(0.5)) return fields;
  const rest = [...fields];
  const all: Field[] = [];
  while (rest.length > 0) all.push(...rest.splice(random.int(0, rest.length - 1), 1));
  return all;
}

function withCase(random: Random, name: string): string {
  return random.chance(0.9) ? name : random.pick([name.toLowerCase(), name.toUpperCase()]);
}

function fieldsOf(random: Random, plan: Plan, copy: PlanCopy): readonly Field[] {
  const people = (all: readonly Person[]): string =>
    all.map((one) => mailbox(random, one)).join(', ');
  const to = plan.toValue ?? (copy.to.length > 0 ? people(copy.to) : 'undisclosed-recipients:;');
  const fields: Field[] = [
    ['From', plan.fromValue ?? mailbox(random, plan.from)],
    ['Subject', headerText(random, plan.subject)],
    ['Date', DATE],
    ['Message-ID', `<${random.int(1, 1e9)}.${random.int(1, 1e9)}@northwind.example>`],
    ...plan.fields,
  ];
  if (to !== '') fields.push([withCase(random, 'To'), to]);
  if (copy.cc.length > 0) fields.push([withCase(random, 'Cc'), people(copy.cc)]);
  if (plan.replyTo.length > 0) fields.push(['Reply-To', people(plan.replyTo)]);
  return shuffled(random, fields);
}

/** The message of a plan with one copy. */
function mimeOf(random: Random, plan: Plan): Buffer {
  const [copy] = plan.copies;
  if (copy === undefined) throw new RangeError('a plan without a message');
  const mail: Mail = {
    fields: fieldsOf(random, plan, copy),
    text: filled(plan.text, copy.values),
    html: plan.html === null ? null : filled(plan.html, copy.values),
    ...{ attached: plan.attached, parts: plan.parts },
  };
  return writeMail(random, mail);
}

function smtp(random: Random, plan: Plan, kind: 'smtp' | 'milter'): SubmissionRequest {
  return {
    kind,
    from: plan.from.address,
    recipients: readersOf(plan).map(({ address }) => address),
    content: mimeOf(random, plan),
  };
}

function json(provider: Provider, path: string, body: object): SubmissionRequest {
  const bytes = Buffer.from(JSON.stringify(body));
  return { kind: 'http', provider, path, contentType: 'application/json', body: bytes };
}

const list = <T>(items: readonly T[]): readonly T[] | undefined =>
  items.length === 0 ? undefined : items;

function object(fields: readonly Field[]): object | undefined {
  return fields.length === 0 ? undefined : Object.fromEntries(fields);
}

function sendgrid(random: Random, plan: Plan): SubmissionRequest {
  const person = ({ name, address }: Person): object =>
    random.chance(0.3) ? { email: address } : { email: address, name };
  const named = ({ name, address }: Person): object => ({ email: address, name });
  const stored = Object.keys(plan.data).length > 0;
  const tag = (name: string): string => `-${name}-`;
  const personalizations = plan.copies.map((copy) => ({
    to: copy.to.map(named),
    cc: list(copy.cc.map(person)),
    bcc: list(copy.bcc.map(person)),
    ...(stored
      ? { dynamic_template_data: { ...copy.values, ...plan.data } }
      : { substitutions: object(Object.entries(copy.values).map(([k, v]) => [tag(k), v])) }),
  }));
  const content = [{ type: 'text/plain', value: tagged(plan.text, tag) }];
  if (plan.html !== null) content.push({ type: 'text/html', value: tagged(plan.html, tag) });
  return json('sendgrid', '/v3/mail/send', {
    personalizations,
    from: named(plan.from),
    ...(plan.replyTo.length > 0 ? { reply_to_list: plan.replyTo.map(person) } : {}),
    subject: plan.subject,
    ...(stored ? { template_id: TEMPLATES.sendgrid } : { content }),
    headers: object(plan.fields),
    categories: list(plan.tags),
    custom_args: plan.tags.length === 0 ? undefined : { first: plan.tags[0] },
    sections: object(Object.entries(plan.sections)),
    attachments: list(
      plan.attached.map(({ name, type, content: bytes }) => ({
        ...{ filename: name, type, content: bytes.toString('base64') },
      })),
    ),
  });
}

/** Name and address as one text, as the packages write it. */
function written({ name, address }: Person): string {
  return `"${name.replace(/["\\]/g, '\\$&')}" <${address}>`;
}

function destination(random: Random, { to, cc, bcc }: PlanCopy): object {
  const text = (one: Person): string => (random.chance(0.5) ? one.address : written(one));
  return {
    ToAddresses: list(to.map(written)),
    CcAddresses: list(cc.map(text)),
    BccAddresses: list(bcc.map(text)),
  };
}

const sesHeaders = (fields: readonly Field[]): object | undefined =>
  list(fields.map(([Name, Value]) => ({ Name, Value })));

function sesFiles(attached: readonly Attached[]): object | undefined {
  return list(
    attached.map(({ name, type, content }) => ({
      ...{ FileName: name, ContentType: type, RawContent: content.toString('base64') },
    })),
  );
}

const SES_ONE = '/v2/email/outbound-emails';

function sesCommon(plan: Plan): object {
  return {
    FromEmailAddress: written(plan.from),
    ReplyToAddresses: list(plan.replyTo.map(({ address }) => address)),
  };
}

function sesSimple(random: Random, plan: Plan): SubmissionRequest {
  const [copy = EMPTY] = plan.copies;
  const body = {
    Text: { Data: filled(plan.text, copy.values) },
    Html: plan.html === null ? undefined : { Data: filled(plan.html, copy.values) },
  };
  return json('ses', SES_ONE, {
    ...sesCommon(plan),
    Destination: destination(random, copy),
    Content: {
      Simple: {
        ...{ Subject: { Data: plan.subject }, Body: body, Headers: sesHeaders(plan.fields) },
        Attachments: sesFiles(plan.attached),
      },
    },
  });
}

const EMPTY: PlanCopy = { to: [], cc: [], bcc: [], values: {} };

function sesTemplate(random: Random, plan: Plan): SubmissionRequest {
  const [copy = EMPTY] = plan.copies;
  const data = JSON.stringify({ ...copy.values, ...plan.data });
  const Template = { TemplateName: TEMPLATES.ses, TemplateData: data };
  return json('ses', SES_ONE, {
    ...sesCommon(plan),
    Destination: destination(random, copy),
    Content: { Template: { ...Template, Headers: sesHeaders(plan.fields) } },
  });
}

function sesRaw(random: Random, plan: Plan): SubmissionRequest {
  const all = readersOf(plan).map(({ address }) => address);
  const Destination = random.chance(0.5)
    ? { ToAddresses: all }
    : { ToAddresses: all.slice(0, 1), BccAddresses: list(all.slice(1)) };
  const Data = mimeOf(random, plan).toString('base64');
  return json('ses', SES_ONE, { Destination, Content: { Raw: { Data } } });
}

function sesBulk(random: Random, plan: Plan): SubmissionRequest {
  const tag = (name: string): string => `{{${name}}}`;
  const onEntries = random.chance(0.5);
  const entries = plan.copies.map((copy) => ({
    Destination: destination(random, copy),
    ReplacementEmailContent: {
      ReplacementTemplate: { ReplacementTemplateData: JSON.stringify(copy.values) },
    },
    ReplacementHeaders: onEntries ? sesHeaders(plan.fields) : undefined,
  }));
  const TemplateContent = {
    Subject: plan.subject,
    Text: tagged(plan.text, tag),
    Html: plan.html === null ? undefined : tagged(plan.html, tag),
  };
  const Template = {
    ...{ TemplateContent, TemplateData: '{}', Attachments: sesFiles(plan.attached) },
    Headers: onEntries ? undefined : sesHeaders(plan.fields),
  };
  return json('ses', '/v2/email/outbound-bulk-emails', {
    ...sesCommon(plan),
    ...{ DefaultContent: { Template }, BulkEmailEntries: entries },
  });
}

type FormPart = readonly [name: string, value: string | Attached];

function form(random: Random, parts: readonly FormPart[]): { type: string; body: Buffer } {
  if (parts.every(([, value]) => typeof value === 'string')) {
    const fields = parts.map(([name, value]): [string, string] => [name, String(value)]);
    const body = Buffer.from(new URLSearchParams(fields).toString());
    return { type: 'application/x-www-form-urlencoded', body };
  }
  const boundary = `----form${random.int(1e8, 9e8)}`;
  const chunks = parts.flatMap(([name, value]) => {
    const text = typeof value === 'string';
    const file = text ? '' : `; filename="${value.name.replaceAll('"', '%22')}"`;
    const type = text ? '' : `Content-Type: ${value.type}\r\n`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${type}\r\n`;
    return [Buffer.from(head), text ? Buffer.from(value) : value.content, Buffer.from('\r\n')];
  });
  const body = Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]);
  return { type: `multipart/form-data; boundary=${boundary}`, body };
}

function mailgun(random: Random, plan: Plan): SubmissionRequest {
  const tag = (name: string): string => `%recipient.${name}%`;
  const batch = plan.copies.length > 1;
  const [first = EMPTY] = plan.copies;
  const text = (source: string): string =>
    batch ? tagged(source, tag) : filled(source, first.values);
  const people = (name: string, all: readonly Person[]): FormPart[] =>
    random.chance(0.5)
      ? all.map((one): FormPart => [name, written(one)])
      : all.length === 0
        ? []
        : [[name, all.map(written).join(', ')]];
  const parts: FormPart[] = [
    ['from', written(plan.from)],
    ...people(
      'to',
      plan.copies.flatMap(({ to }) => to),
    ),
    ...people('cc', first.cc),
    ...people('bcc', first.bcc),
    ['subject', plan.subject],
    ['text', text(plan.text)],
  ];
  if (plan.html !== null) parts.push(['html', text(plan.html)]);
  for (const [name, value] of plan.fields) parts.push([`h:${name}`, value]);
  for (const [name, value] of Object.entries(plan.data)) parts.push([`v:${name}`, value]);
  for (const tag of plan.tags) parts.push(['o:tag', tag]);
  const [single] = plan.replyTo;
  if (single !== undefined)
    parts.push(['h:Reply-To', plan.replyTo.map(({ address }) => address).join(', ')]);
  if (batch) {
    const variables = plan.copies.flatMap(({ to, values }) =>
      to.map(({ address }) => [address, values] as const),
    );
    if (plan.variables === 'but-one') variables.splice(-1);
    else if (plan.variables !== 'each') variables.push([plan.variables.address, {}]);
    parts.push(['recipient-variables', JSON.stringify(Object.fromEntries(variables))]);
  }
  for (const file of plan.attached) parts.push(['attachment', file]);
  const { type, body } = form(random, parts);
  const path = '/v3/northwind.example/messages';
  return { kind: 'http', provider: 'mailgun', path, contentType: type, body };
}

function mailgunMime(random: Random, plan: Plan): SubmissionRequest {
  const parts: FormPart[] = readersOf(plan).map(({ address }): FormPart => ['to', address]);
  const content = mimeOf(random, plan);
  parts.push(['message', { name: 'message.mime', type: 'message/rfc822', content }]);
  const { type, body } = form(random, parts);
  const path = '/v3/northwind.example/messages.mime';
  return { kind: 'http', provider: 'mailgun', path, contentType: type, body };
}

function postmarkItem(plan: Plan, copy: PlanCopy): object {
  const people = (all: readonly Person[]): string | undefined =>
    all.length === 0 ? undefined : all.map(written).join(', ');
  const [reply] = plan.replyTo;
  return {
    From: written(plan.from),
    ...{ To: people(copy.to), Cc: people(copy.cc), Bcc: people(copy.bcc) },
    ReplyTo:
      reply === undefined ? undefined : plan.replyTo.map(({ address }) => address).join(', '),
    Headers: sesHeaders(plan.fields),
    Tag: plan.tags[0],
    Metadata: plan.tags.length === 0 ? undefined : { first: plan.tags[0] },
    Attachments: list(
      plan.attached.map(({ name, type, content }) => ({
        ...{ Name: name, ContentType: type, Content: content.toString('base64') },
      })),
    ),
  };
}

function postmarkMessage(plan: Plan, copy: PlanCopy): object {
  return {
    ...postmarkItem(plan, copy),
    Subject: plan.subject,
    TextBody: filled(plan.text, copy.values),
    HtmlBody: plan.html === null ? undefined : filled(plan.html, copy.values),
  };
}

/** The request of a plan. */
export function requestOf(random: Random, plan: Plan): SubmissionRequest {
  const [first = EMPTY] = plan.copies;
  switch (plan.door) {
    case 'smtp':
    case 'milter':
      return smtp(random, plan, plan.door);
    case 'sendgrid':
      return sendgrid(random, plan);
    case 'ses-simple':
      return sesSimple(random, plan);
    case 'ses-template':
      return sesTemplate(random, plan);
    case 'ses-raw':
      return sesRaw(random, plan);
    case 'ses-bulk':
      return sesBulk(random, plan);
    case 'mailgun':
      return mailgun(random, plan);
    case 'mailgun-mime':
      return mailgunMime(random, plan);
    case 'postmark':
      return json('postmark', '/email', postmarkMessage(plan, first));
    case 'postmark-batch':
      return json(
        'postmark',
        '/email/batch',
        plan.copies.map((copy) => postmarkMessage(plan, copy)),
      );
    case 'postmark-template': {
      const TemplateModel = { ...first.values, ...plan.data };
      const item = { ...postmarkItem(plan, first), TemplateAlias: TEMPLATES.postmark };
      return json('postmark', '/email/withTemplate', { ...item, TemplateModel });
    }
  }
}
