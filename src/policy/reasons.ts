/**
 * Every reason a message can be stopped for, once: its verdict, its sentence for people, what to do about it, and the
 * SMTP reply (RFC 5321, RFC 3463). docs/reference/reasons.md is tested against this file both ways.
 */

export interface Reason {
  /** The verdict this reason alone leads to. */
  readonly verdict: 'refuse' | 'hold' | 'defer';
  /**
   * In its place under the policy `person`: from a program it is a fault, and its author hears so at once; a person may have meant
   * it, and a second one decides.
   */
  readonly fromPerson?: 'hold';
  /** One sentence, without an address. */
  readonly sentence: string;
  /** What the sender can do. */
  readonly remedy: string;
  readonly smtpCode: 550 | 554 | 451;
  /** RFC 3463. */
  readonly enhancedStatus: string;
}

const EXPOSED = { verdict: 'refuse', smtpCode: 550, enhancedStatus: '5.7.1' } as const;
/** Shown by what was written, not by the header. */
const WRITTEN = { ...EXPOSED, fromPerson: 'hold' } as const;
const MALFORMED = { verdict: 'refuse', smtpCode: 554, enhancedStatus: '5.6.0' } as const;
const HELD = { verdict: 'hold', smtpCode: 550, enhancedStatus: '5.7.1' } as const;

/** Every reason there is, in the order of the document. */
export const REASON_IDS = [
  'visible-recipients',
  'too-many-visible',
  'bcc-header',
  'provider-command',
  'foreign-address-header',
  'foreign-address-body',
  'foreign-address-encoded',
  'foreign-address-attachment',
  'foreign-address-nested',
  'own-domain-mentions',
  'invited-people',
  'encrypted-readers',
  'customer-list',
  'personal-record',
  'unreadable-attachment',
  'merge-mistake',
  'shared-token',
  'header-injection',
  'bare-line-break',
  'nul-byte',
  'placeholder',
  'ambiguous',
  'unreadable',
  'wrong-environment',
  'outside-audience',
  'unusual-size',
  'suppressed-reader',
  'exposure-budget',
  'frozen',
  'guard-fault',
  'ledger-unavailable',
  'halted',
] as const;

export type ReasonId = (typeof REASON_IDS)[number];

export const REASONS: Readonly<Record<ReasonId, Reason>> = {
  'visible-recipients': {
    ...EXPOSED,
    sentence: 'The header would show recipients to each other.',
    remedy: 'Send each recipient a message of their own, with nobody else in To or Cc.',
  },
  'too-many-visible': {
    ...EXPOSED,
    sentence: 'To and Cc show more people to each other than this policy allows.',
    remedy: 'Send it as a broadcast, or remove people from To and Cc.',
  },
  'bcc-header': {
    ...EXPOSED,
    sentence: 'A Bcc header would leave with the message and show who was copied in secret.',
    remedy: 'Remove the Bcc header; name blind recipients on the envelope only.',
  },
  'provider-command': {
    ...EXPOSED,
    sentence:
      'A command to the mail provider names other people, stands there twice or is unclear.',
    remedy: 'Remove the field; name each recipient on the envelope of a message of their own.',
  },
  'foreign-address-header': {
    ...EXPOSED,
    sentence: "A header field holds another person's address.",
    remedy: 'Remove the field, or name the address as a role address.',
  },
  'foreign-address-body': {
    ...WRITTEN,
    sentence: "The text holds another person's address.",
    remedy: 'Check the data merged into the text, or name the address as a role address.',
  },
  'foreign-address-encoded': {
    ...WRITTEN,
    sentence: "A link or attribute holds another person's address in encoded form.",
    remedy: 'Check the link: its token was made for somebody else, or tells who it is.',
  },
  'foreign-address-attachment': {
    ...WRITTEN,
    sentence: "An attachment holds other people's addresses.",
    remedy: 'Check that the right file is attached, and that it is no list of customers.',
  },
  'foreign-address-nested': {
    ...WRITTEN,
    sentence: "A forwarded message inside holds other people's addresses.",
    remedy: 'Remove the forwarded message, or quote only what the reader may see.',
  },
  'own-domain-mentions': {
    ...EXPOSED,
    sentence: "The message names more addresses at the sender's own domain than allowed.",
    remedy: 'Name them as role addresses if any reader may see them.',
  },
  'invited-people': {
    ...EXPOSED,
    sentence: 'A calendar or winmail.dat inside shows other people as invited or written to.',
    remedy: 'Send each person a calendar of their own, with nobody else as attendee.',
  },
  'encrypted-readers': {
    ...EXPOSED,
    sentence: 'The encrypted message shows the keys of several readers to each of them.',
    remedy: 'Encrypt it to each reader alone, in a message of their own.',
  },
  'customer-list': {
    ...HELD,
    sentence: 'An attachment holds a list of people.',
    remedy: 'Check that the right file is attached, and that it is no list of customers.',
  },
  'personal-record': {
    ...HELD,
    sentence:
      'An attachment holds passport lines, card numbers, or account or identity numbers of several people.',
    remedy: 'Check that the right file is attached, and that the reader may have these records.',
  },
  'unreadable-attachment': {
    ...HELD,
    sentence: 'An attachment is encrypted, broken or of a kind that cannot be searched.',
    remedy: 'Send it readable, send a link instead, or have a person look at it.',
  },
  'merge-mistake': {
    ...HELD,
    sentence: 'The message names somebody else where its reader should be named.',
    remedy: 'Check that the rows of the merged data belong to their addresses.',
  },
  'shared-token': {
    ...HELD,
    sentence: 'A personal link or token stands in the copies of two readers.',
    remedy: 'Give each reader a link of their own; check that the rows have not shifted.',
  },
  'header-injection': {
    ...MALFORMED,
    sentence:
      'A header field holds a line break or control character that could add header fields.',
    remedy: 'Remove line breaks from the value the program put into the header.',
  },
  'bare-line-break': {
    ...MALFORMED,
    sentence:
      'The message holds a carriage return or line feed standing alone, which mail programs read differently.',
    remedy: 'End every line with CR LF (RFC 5321 section 2.3.8).',
  },
  'nul-byte': {
    ...MALFORMED,
    sentence: 'The message holds a NUL byte, at which mail programs may stop reading.',
    remedy: 'Remove NUL bytes, or encode the part in base64.',
  },
  placeholder: {
    ...HELD,
    sentence: 'A placeholder of the template was not filled in.',
    remedy: 'Fill in the value, or give the template a default.',
  },
  ambiguous: {
    ...HELD,
    sentence: 'The message is malformed, so that mail programs would show different things.',
    remedy: 'Write the message anew with a MIME library; the defects are listed.',
  },
  unreadable: {
    ...HELD,
    sentence: 'Part of the message is beyond the limits of what can be inspected.',
    remedy: 'Send it smaller or less deeply nested, or have a person look at it.',
  },
  'wrong-environment': {
    ...HELD,
    sentence: 'This sender may only write to named domains, and a recipient is at another one.',
    remedy:
      'Check that this is not a test system writing to real people; or add the domain to the sender’s.',
  },
  'outside-audience': {
    ...HELD,
    sentence: 'A recipient is not in the audience declared for this sender.',
    remedy:
      'Compare the recipients with the list that was meant; or declare the audience anew, with them in it.',
  },
  'unusual-size': {
    ...HELD,
    sentence: 'The call has many more recipients than this sender’s calls usually have.',
    remedy: 'Have a person compare the recipients with the intended audience.',
  },
  'suppressed-reader': {
    ...HELD,
    sentence: 'A recipient is on the suppression list.',
    remedy: 'Leave the recipient out, or have a person release the message.',
  },
  'exposure-budget': {
    ...EXPOSED,
    sentence:
      'Together with earlier messages that say the same, it would show more people to each other than this policy allows.',
    remedy: 'Send each recipient a message of their own.',
  },
  frozen: {
    verdict: 'defer',
    smtpCode: 451,
    enhancedStatus: '4.7.1',
    sentence:
      'Mail of this sender, or of this campaign, is frozen after an exposure; nothing was sent.',
    remedy: 'Wait until an operator has looked at it and lifted the freeze.',
  },
  'guard-fault': {
    verdict: 'defer',
    smtpCode: 451,
    enhancedStatus: '4.3.0',
    sentence: 'The guard could not finish its inspection; nothing was sent.',
    remedy: 'Try again later; the operators have been told.',
  },
  'ledger-unavailable': {
    verdict: 'defer',
    smtpCode: 451,
    enhancedStatus: '4.3.0',
    sentence: 'The verdict could not be recorded; nothing was sent.',
    remedy: 'Try again later.',
  },
  halted: {
    verdict: 'defer',
    smtpCode: 451,
    enhancedStatus: '4.3.2',
    sentence: 'Sending is halted.',
    remedy: 'Wait until two operators have resumed it.',
  },
};
