/**
 * The body of SendGrid's v3 `mail/send` as its published schema has it (tsg_mail_v3.json in
 * twilio/sendgrid-oai), with `sections`, which only the packages still send.
 *
 * Invariant: a property that is not in this table is refused by its path, so no member that could
 * carry a recipient passes unread; a string that becomes a header holds no control character.
 */

export interface MailAddress {
  readonly email: string;
  readonly name?: string;
}

export interface Personalization {
  readonly from?: MailAddress;
  readonly to: readonly MailAddress[];
  readonly cc?: readonly MailAddress[];
  readonly bcc?: readonly MailAddress[];
  readonly subject?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly substitutions?: Readonly<Record<string, string>>;
  readonly dynamic_template_data?: Readonly<Record<string, unknown>>;
  readonly custom_args?: Readonly<Record<string, unknown>>;
  readonly send_at?: number;
}

export interface MailAttachment {
  readonly content: string;
  readonly filename: string;
  readonly type?: string;
  readonly disposition?: string;
  readonly content_id?: string;
}

/** The parts of the body that reach a reader; the others are only checked. */
export interface MailSend {
  readonly personalizations: readonly Personalization[];
  readonly from: MailAddress;
  readonly reply_to?: MailAddress;
  readonly reply_to_list?: readonly MailAddress[];
  readonly subject?: string;
  readonly content?: readonly { readonly type: string; readonly value: string }[];
  readonly attachments?: readonly MailAttachment[];
  readonly template_id?: string;
  readonly sections?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly categories?: readonly string[];
  readonly custom_args?: Readonly<Record<string, unknown>> | string;
  readonly asm?: { readonly group_id: number };
  readonly mail_settings?: {
    readonly footer?: { readonly text?: string; readonly html?: string };
  };
  readonly tracking_settings?: {
    readonly open_tracking?: { readonly substitution_tag?: string };
    readonly subscription_tracking?: {
      readonly text?: string;
      readonly html?: string;
      readonly substitution_tag?: string;
    };
    readonly ganalytics?: Readonly<Record<string, string | boolean>>;
  };
}

/** The form of one value. `header`: the string becomes (part of) a header. */
export type Shape =
  | { readonly kind: 'boolean' | 'integer' | 'email' | 'base64' | 'headers' | 'strings' | 'data' }
  | {
      readonly kind: 'string';
      readonly header?: true;
      readonly sizeMin?: number;
      readonly sizeMax?: number;
      readonly pattern?: RegExp;
    }
  | {
      readonly kind: 'array';
      readonly of: Shape;
      readonly sizeMin?: number;
      readonly sizeMax?: number;
    }
  | {
      readonly kind: 'object';
      readonly properties: Readonly<Record<string, Shape>>;
      readonly required: readonly string[];
    };

const BOOLEAN: Shape = { kind: 'boolean' };
const INTEGER: Shape = { kind: 'integer' };
const TEXT: Shape = { kind: 'string' };
/** A string that becomes a header or a part of one. */
export const HEADER_TEXT: Shape = { kind: 'string', header: true };
/** Replaced in the content before it is inspected, so it must not be able to hide an address. */
const TAG: Shape = { kind: 'string', header: true, pattern: /^[^@]*$/ };
const SUBJECT: Shape = { kind: 'string', header: true, sizeMin: 1 };
/** `type/subtype` without parameters: upstream refuses `;` as well. */
const MEDIA_TYPE: Shape = {
  kind: 'string',
  header: true,
  pattern: /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/,
};
/** Names that stay with the provider; no reader gets them. */
const INTERNAL_NAME: Shape = { kind: 'string', header: true, sizeMin: 1, sizeMax: 255 };
const SWITCH: Shape = object({ enable: BOOLEAN }, []);
const ADDRESS: Shape = object({ email: { kind: 'email' }, name: HEADER_TEXT }, ['email']);
const ADDRESSES: Shape = { kind: 'array', of: ADDRESS, sizeMax: 1000 };

const PERSONALIZATION: Shape = object(
  {
    from: ADDRESS,
    // No maximum here: the sum over to, cc and bcc is checked for the whole call.
    to: { kind: 'array', of: ADDRESS },
    cc: ADDRESSES,
    bcc: ADDRESSES,
    subject: SUBJECT,
    headers: { kind: 'headers' },
    substitutions: { kind: 'strings' },
    dynamic_template_data: { kind: 'data' },
    custom_args: { kind: 'data' },
    send_at: INTEGER,
  },
  [],
);

const ATTACHMENT: Shape = object(
  {
    content: { kind: 'base64' },
    type: { kind: 'string', header: true, pattern: /^[^;,@]+$/ },
    filename: HEADER_TEXT,
    disposition: { kind: 'string', header: true, pattern: /^(?:inline|attachment)$/ },
    content_id: { kind: 'string', header: true, pattern: /^[^;,]+$/ },
  },
  ['content', 'filename'],
);

const MAIL_SETTINGS: Shape = object(
  {
    bypass_list_management: SWITCH,
    bypass_spam_management: SWITCH,
    bypass_bounce_management: SWITCH,
    bypass_unsubscribe_management: SWITCH,
    footer: object({ enable: BOOLEAN, text: TEXT, html: TEXT }, []),
    sandbox_mode: SWITCH,
  },
  [],
);

const TRACKING_SETTINGS: Shape = object(
  {
    click_tracking: object({ enable: BOOLEAN, enable_text: BOOLEAN }, []),
    open_tracking: object({ enable: BOOLEAN, substitution_tag: TAG }, []),
    subscription_tracking: object(
      { enable: BOOLEAN, text: TEXT, html: TEXT, substitution_tag: TAG },
      [],
    ),
    ganalytics: object(
      {
        enable: BOOLEAN,
        utm_source: HEADER_TEXT,
        utm_medium: HEADER_TEXT,
        utm_term: HEADER_TEXT,
        utm_content: HEADER_TEXT,
        utm_campaign: HEADER_TEXT,
      },
      [],
    ),
  },
  [],
);

/** The whole body. `docs/gates/sendgrid.md` has a row for each property in it. */
export const MAIL_SEND: Shape = object(
  {
    personalizations: { kind: 'array', of: PERSONALIZATION, sizeMin: 1, sizeMax: 1000 },
    from: ADDRESS,
    reply_to: ADDRESS,
    reply_to_list: ADDRESSES,
    subject: SUBJECT,
    content: {
      kind: 'array',
      of: object({ type: MEDIA_TYPE, value: { kind: 'string', sizeMin: 1 } }, ['type', 'value']),
      sizeMin: 1,
    },
    attachments: { kind: 'array', of: ATTACHMENT },
    template_id: { kind: 'string', header: true, pattern: /^[\w-]{1,255}$/ },
    sections: { kind: 'strings' },
    headers: { kind: 'headers' },
    categories: { kind: 'array', of: INTERNAL_NAME, sizeMax: 10 },
    custom_args: { kind: 'data' },
    send_at: INTEGER,
    batch_id: INTERNAL_NAME,
    asm: object(
      { group_id: INTEGER, groups_to_display: { kind: 'array', of: INTEGER, sizeMax: 25 } },
      ['group_id'],
    ),
    ip_pool_name: { kind: 'string', header: true, sizeMin: 2, sizeMax: 64 },
    mail_settings: MAIL_SETTINGS,
    tracking_settings: TRACKING_SETTINGS,
  },
  ['personalizations', 'from'],
);

function object(properties: Readonly<Record<string, Shape>>, required: readonly string[]): Shape {
  return { kind: 'object', properties, required };
}
