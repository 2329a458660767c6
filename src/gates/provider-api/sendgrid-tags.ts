/**
 * The replacing SendGrid does before a message leaves: substitution and section tags, and its own
 * tags for tracking and unsubscribe links.
 *
 * Invariant: work and result stay within the limits below, whatever tags and values are given.
 */

import { Fault } from '../../base/errors.ts';
import type { MailSend, Personalization } from './sendgrid-schema.ts';

/** The code of the fault for a call that would make a text, or take work, above the limits. */
export const RENDERING_TOO_LARGE = 'sendgrid.rendering-too-large';

type Pair = readonly [tag: string, value: string];

export interface Rendering {
  /** Strings outside content that reach every reader: footers, subscription texts, link labels. */
  readonly callValues: readonly string[];
  /** A content text without the tags SendGrid replaces by links or images of its own. */
  withoutProviderTags(text: string): string;
  /** The substitutions of a copy that occur anywhere in what it is made of. */
  tagsOf(personalization: Personalization): readonly Pair[];
  /** Substitutions, then sections, then the substitutions within the sections. */
  render(text: string, tags: readonly Pair[]): string;
  /** Every value of a copy by itself: substitutions, template data, custom arguments. */
  copyValues(personalization: Personalization, tags: readonly Pair[]): readonly string[];
}

const TEXT_LENGTH_MAX = 32 * 1024 * 1024;
/** Characters searched for tags in one call: about a second. */
const SEARCHED_LENGTH_MAX = 4_000_000_000;
/** A link of the provider's, in a domain that is nobody's (RFC 6761 section 6.4). */
const LINK = 'https://link.invalid/';

export function createRendering(mail: MailSend): Rendering {
  const sections = Object.entries(mail.sections ?? {});
  const globalText = [
    mail.subject ?? '',
    ...(mail.content ?? []).map(({ value }) => value),
    ...[mail.reply_to, ...(mail.reply_to_list ?? [])].map((it) => `${it?.email} ${it?.name}`),
    ...sections.map(([, text]) => text),
  ].join('\n');
  const occurs = new Map<string, boolean>();
  let searched = 0;
  const search = (tag: string): boolean => {
    searched += globalText.length;
    if (searched > SEARCHED_LENGTH_MAX) throw tooLarge();
    const found = globalText.includes(tag);
    occurs.set(tag, found);
    return found;
  };
  const replaceProviderTags = providerTagReplacer(mail);
  const render = (text: string, tags: readonly Pair[]): string => {
    const substituted = replaceTags(text, tags);
    if (sections.length === 0) return substituted;
    const whole = replaceTags(substituted, sections);
    return whole === substituted ? whole : replaceTags(whole, tags);
  };
  return {
    callValues: callValuesOf(mail),
    withoutProviderTags: replaceProviderTags,
    tagsOf: ({ subject = '', substitutions = {} }) =>
      Object.entries(substitutions).filter(
        ([tag]) => subject.includes(tag) || (occurs.get(tag) ?? search(tag)),
      ),
    render,
    copyValues: (personalization, tags) => {
      const values = Object.values(personalization.substitutions ?? {});
      const rendered = values.map((value) => render(value, tags));
      collectStrings(personalization.dynamic_template_data ?? {}, rendered);
      collectStrings(personalization.custom_args ?? {}, rendered);
      if (sections.length > 0) rendered.push(...sections.map(([, text]) => render(text, tags)));
      return rendered;
    },
  };
}

function replaceTags(text: string, tags: readonly Pair[]): string {
  let result = text;
  for (const [tag, value] of tags) {
    const first = result.indexOf(tag);
    if (first < 0) continue;
    let count = 0;
    for (let at = first; at >= 0; at = result.indexOf(tag, at + tag.length)) count++;
    if (result.length + count * (value.length - tag.length) > TEXT_LENGTH_MAX) {
      throw tooLarge();
    }
    result = result.split(tag).join(value);
  }
  return result;
}

/**
 * `<%asm_…%>` links where an unsubscribe group is given, the tag of the open-tracking image, and
 * the tag of the subscription link.
 */
function providerTagReplacer(mail: MailSend): (text: string) => string {
  const { open_tracking: open, subscription_tracking: subscription } = mail.tracking_settings ?? {};
  const tags: Pair[] = [];
  if (open?.substitution_tag) tags.push([open.substitution_tag, '']);
  if (subscription?.substitution_tag) tags.push([subscription.substitution_tag, LINK]);
  const asm = mail.asm !== undefined;
  return (text) => {
    const linked = asm ? text.replace(/<%asm_[a-z_]{1,60}%>/g, LINK) : text;
    return replaceTags(linked, tags);
  };
}

function callValuesOf(mail: MailSend): readonly string[] {
  const { footer } = mail.mail_settings ?? {};
  const { subscription_tracking: subscription, ganalytics } = mail.tracking_settings ?? {};
  const values = [footer?.text, footer?.html].filter((text) => text !== undefined);
  for (const text of [subscription?.text, subscription?.html]) {
    // `<% words %>` becomes the link with these words.
    if (text !== undefined) values.push(text.replace(/<%([^<>%]*)%>/g, '$1'));
  }
  collectStrings(ganalytics ?? {}, values);
  collectStrings(mail.custom_args ?? {}, values);
  values.push(...(mail.categories ?? []));
  return values.filter((text) => text !== '');
}

/** All strings of free data, member names with them, since a template can show those too. */
function collectStrings(value: unknown, into: string[]): void {
  if (typeof value === 'string') into.push(value);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (typeof member === 'string') into.push(`${name}: ${member}`);
    else {
      if (!Array.isArray(value)) into.push(name);
      collectStrings(member, into);
    }
  }
}

function tooLarge(): Fault {
  return new Fault(RENDERING_TOO_LARGE, 'the texts of this call are too large to inspect');
}
