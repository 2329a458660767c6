/**
 * The bodies of SES v2's SendEmail and SendBulkEmail, every member of the published model (sesv2,
 * 2019-09-27), and what is wrong with a body.
 *
 * Invariants: a member that is not in this table is refused by its path, so none that could carry a
 * recipient passes unread; a string that becomes a header holds no control character; no error holds
 * an address or another value of the body.
 */

import type { CallError } from './adapter.ts';
import { holdsControl } from './message-parts.ts';
import { readMailboxes } from './ses-mailbox.ts';
import { readStrictJson } from './strict-json.ts';

/**
 * The form of one value. mailbox: one address, with or without a name. template-data: a string that
 * holds a JSON object. refused: a member of the model that is not passed on.
 */
export type Shape =
  | { readonly kind: 'mailbox' | 'base64' | 'template-data' }
  | { readonly kind: 'refused'; readonly because: string }
  | {
      readonly kind: 'string';
      readonly header?: true;
      readonly lengthMax?: number;
      readonly pattern?: RegExp;
    }
  | { readonly kind: 'array'; readonly of: Shape; readonly sizeMax?: number }
  | {
      readonly kind: 'object';
      readonly members: Readonly<Record<string, Shape>>;
      readonly required: readonly string[];
      /** Exactly one of these. */
      readonly oneOf?: readonly string[];
    };

const MAILBOX: Shape = { kind: 'mailbox' };
const MAILBOXES: Shape = { kind: 'array', of: MAILBOX };
const TEXT: Shape = { kind: 'string' };
const HEADER_TEXT: Shape = { kind: 'string', header: true };
const BASE64: Shape = { kind: 'base64' };
const DATA: Shape = { kind: 'template-data' };
const NAME: Shape = { kind: 'string', pattern: /^[A-Za-z0-9_-]{1,256}$/ };
const ARN: Shape = { kind: 'string', pattern: /^arn:[\w:/.@+-]{1,512}$/ };
const SWITCH: Shape = { kind: 'string', pattern: /^(?:ENABLED|DISABLED)$/ };
/** Without those in which a plain text can mean another one, such as UTF-7 and ISO-2022. */
const CHARSET: Shape = {
  kind: 'string',
  pattern:
    /^(?:utf-?8|(?:us-)?ascii|iso-8859-(?:[1-9]|1[0-6])|windows-125[0-8]|koi8-[ru]|shift_jis|euc-(?:jp|kr)|gb(?:2312|k|18030)|big5)$/i,
};

const CONTENT: Shape = object({ Data: TEXT, Charset: CHARSET }, ['Data']);
const SUBJECT: Shape = object({ Data: HEADER_TEXT, Charset: CHARSET }, ['Data']);
const DESTINATION: Shape = object(
  { ToAddresses: MAILBOXES, CcAddresses: MAILBOXES, BccAddresses: MAILBOXES },
  [],
);
const HEADER: Shape = object(
  {
    // A token (RFC 9110) without `%`: no reader looks for an address in a name.
    Name: { kind: 'string', pattern: /^[\w!#$&'*+.^|~-]{1,126}$/ },
    Value: { kind: 'string', header: true, pattern: /^[\x20-\x7e]{0,995}$/ },
  },
  ['Name', 'Value'],
);
const HEADERS: Shape = { kind: 'array', of: HEADER, sizeMax: 15 };
const TAG: Shape = object(
  {
    Name: { kind: 'string', pattern: /^[A-Za-z0-9_:-]{1,256}$/ },
    Value: { kind: 'string', pattern: /^[A-Za-z0-9_.@-]{1,256}$/ },
  },
  ['Name', 'Value'],
);
const TAGS: Shape = { kind: 'array', of: TAG, sizeMax: 50 };
const ATTACHMENTS: Shape = {
  kind: 'array',
  of: object(
    {
      RawContent: BASE64,
      FileName: { kind: 'string', header: true, lengthMax: 255 },
      ContentDisposition: { kind: 'string', pattern: /^(?:ATTACHMENT|INLINE)$/ },
      ContentDescription: { kind: 'string', header: true, lengthMax: 1000 },
      ContentId: { kind: 'string', header: true, lengthMax: 78 },
      ContentTransferEncoding: {
        kind: 'string',
        pattern: /^(?:BASE64|QUOTED_PRINTABLE|SEVEN_BIT)$/,
      },
      ContentType: { kind: 'string', header: true, pattern: /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/ },
    },
    ['RawContent', 'FileName'],
  ),
};
const TEMPLATE: Shape = object(
  {
    TemplateName: NAME,
    TemplateArn: ARN,
    TemplateContent: object({ Subject: HEADER_TEXT, Text: TEXT, Html: TEXT }, []),
    TemplateData: DATA,
    Headers: HEADERS,
    Attachments: ATTACHMENTS,
  },
  [],
);
const TRACKING: Shape = object(
  { Tracking: object({ OpenTrackingEnabled: SWITCH, ClickTrackingEnabled: SWITCH }, []) },
  [],
);
const ENDPOINT_ID: Shape = {
  kind: 'refused',
  because: 'A multi-region endpoint is called with another kind of signature (SigV4A).',
};

const SENDER = {
  FromEmailAddress: MAILBOX,
  FromEmailAddressIdentityArn: ARN,
  ReplyToAddresses: MAILBOXES,
  FeedbackForwardingEmailAddress: MAILBOX,
  FeedbackForwardingEmailAddressIdentityArn: ARN,
  ConfigurationSetName: NAME,
  EndpointId: ENDPOINT_ID,
  TenantName: NAME,
  ConfigurationOverrides: TRACKING,
} as const;

/** The body of SendEmail. `docs/gates/ses.md` has a row for each member of both. */
export const SEND_EMAIL: Shape = object(
  {
    ...SENDER,
    Destination: DESTINATION,
    Content: {
      kind: 'object',
      members: {
        Simple: object(
          {
            Subject: SUBJECT,
            Body: object({ Text: CONTENT, Html: CONTENT }, []),
            Headers: HEADERS,
            Attachments: ATTACHMENTS,
          },
          ['Subject', 'Body'],
        ),
        Raw: object({ Data: BASE64 }, ['Data']),
        Template: TEMPLATE,
      },
      required: [],
      oneOf: ['Simple', 'Raw', 'Template'],
    },
    EmailTags: TAGS,
    ListManagementOptions: object({ ContactListName: NAME, TopicName: NAME }, ['ContactListName']),
  },
  ['Content'],
);

/** The body of SendBulkEmail. */
export const SEND_BULK_EMAIL: Shape = object(
  {
    ...SENDER,
    DefaultEmailTags: TAGS,
    DefaultContent: object({ Template: TEMPLATE }, ['Template']),
    BulkEmailEntries: {
      kind: 'array',
      sizeMax: 50,
      of: object(
        {
          Destination: DESTINATION,
          ReplacementTags: TAGS,
          ReplacementEmailContent: object(
            { ReplacementTemplate: object({ ReplacementTemplateData: DATA }, []) },
            [],
          ),
          ReplacementHeaders: HEADERS,
        },
        ['Destination'],
      ),
    },
  },
  ['DefaultContent', 'BulkEmailEntries', 'FromEmailAddress'],
);

function object(
  members: Readonly<Record<string, Shape>>,
  required: readonly string[],
): Extract<Shape, { kind: 'object' }> {
  return { kind: 'object', members, required };
}

const ERRORS_MAX = 20;
const BASE64_TEXT = /^[A-Za-z0-9+/]*={0,2}$/;

/** What a body has that its shape has not; empty where it fits. */
export function findShapeErrors(value: unknown, shape: Shape): readonly CallError[] {
  const errors: CallError[] = [];
  check(value, shape, '', errors);
  return errors;
}

function check(value: unknown, shape: Shape, place: string, errors: CallError[]): void {
  if (errors.length >= ERRORS_MAX) return;
  if (shape.kind === 'object') checkObject(value, shape, place, errors);
  else if (shape.kind === 'array') checkArray(value, shape, place, errors);
  else {
    const message = scalarProblem(value, shape);
    if (message !== null) errors.push(errorAt(place, message));
  }
}

function checkObject(
  value: unknown,
  shape: Extract<Shape, { kind: 'object' }>,
  place: string,
  errors: CallError[],
): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    errors.push(errorAt(place, 'An object is expected here.'));
    return;
  }
  const names = Object.keys(value);
  for (const [name, member] of Object.entries(value)) {
    const known = Object.hasOwn(shape.members, name) ? shape.members[name] : undefined;
    const at = join(place, name);
    if (known !== undefined) check(member, known, at, errors);
    else errors.push(errorAt(at, unknownMember(name, shape.members)));
  }
  for (const name of shape.required) {
    if (!names.includes(name)) errors.push(errorAt(join(place, name), 'This member is required.'));
  }
  if (
    shape.oneOf !== undefined &&
    shape.oneOf.filter((name) => names.includes(name)).length !== 1
  ) {
    errors.push(errorAt(place, `Exactly one of ${shape.oneOf.join(', ')} is expected here.`));
  }
}

function unknownMember(name: string, members: Readonly<Record<string, Shape>>): string {
  const lower = name.toLowerCase();
  const meant = Object.keys(members).find((known) => known.toLowerCase() === lower);
  return meant === undefined
    ? 'This member is not known, and what cannot be inspected is not passed on.'
    : `This member is not known; it differs from ${meant} in upper and lower case.`;
}

function checkArray(
  value: unknown,
  shape: Extract<Shape, { kind: 'array' }>,
  place: string,
  errors: CallError[],
): void {
  if (!Array.isArray(value)) {
    errors.push(errorAt(place, 'A list is expected here.'));
    return;
  }
  if (value.length > (shape.sizeMax ?? Number.POSITIVE_INFINITY)) {
    errors.push(errorAt(place, `At most ${shape.sizeMax} are allowed here.`));
    return;
  }
  for (const [index, item] of value.entries()) check(item, shape.of, `${place}.${index}`, errors);
}

function scalarProblem(value: unknown, shape: Shape): string | null {
  if (shape.kind === 'refused') return shape.because;
  if (typeof value !== 'string') return 'A string is expected here.';
  if (!value.isWellFormed() || value.includes('\0')) return 'This is not text that can be sent.';
  if (shape.kind === 'mailbox') return mailboxProblem(value);
  if (shape.kind === 'base64') {
    return BASE64_TEXT.test(value) && value.length % 4 === 0 ? null : 'Base64 is expected here.';
  }
  if (shape.kind === 'template-data') return dataProblem(value);
  return shape.kind === 'string' ? stringProblem(value, shape) : null;
}

function stringProblem(value: string, shape: Extract<Shape, { kind: 'string' }>): string | null {
  if (shape.header === true && holdsControl(value)) {
    return 'This becomes part of a header and must not have line breaks or control characters.';
  }
  if (value.length > (shape.lengthMax ?? Number.POSITIVE_INFINITY)) {
    return `At most ${shape.lengthMax} characters are allowed here.`;
  }
  return shape.pattern === undefined || shape.pattern.test(value)
    ? null
    : 'This value is not of the form that is allowed here.';
}

/** SES has no SMTPUTF8: names as encoded words, domains as A-labels, local parts in ASCII. */
function mailboxProblem(value: string): string | null {
  if (/[^\x20-\x7e]/.test(value)) {
    return 'Local address contains control or non-ASCII characters; write names as encoded words and domains in Punycode.';
  }
  const mailboxes = readMailboxes(value);
  return mailboxes?.length === 1 ? null : 'One valid address is expected here.';
}

function dataProblem(value: string): string | null {
  if (value === '') return null;
  const reading = readStrictJson(Buffer.from(value));
  if (reading.kind === 'invalid')
    return 'Template data is expected to be JSON without repeated names.';
  const { value: data } = reading;
  return typeof data === 'object' && data !== null && !Array.isArray(data)
    ? null
    : 'Template data is expected to be a JSON object.';
}

/** An error of one place; never holds a value. */
export function errorAt(place: string, message: string): CallError {
  return { message, field: place === '' ? null : place, help: null };
}

function join(place: string, name: string): string {
  // A free name could be somebody's data: errors show it only where it looks like a name.
  const shown = /^[A-Za-z0-9_-]{1,64}$/.test(name) ? name : '*';
  return place === '' ? shown : `${place}.${shown}`;
}
