/**
 * Calendars (RFC 5545) and cards (RFC 6350): their lines unfolded, and in calendars who is shown as invited.
 * An ATTENDEE is to the reader what a name in To is: every calendar program lists them.
 */

/** invited: ATTENDEE and extensions. organizer: ORGANIZER. identifiers: of events, which look like addresses. */
export interface CalendarReading {
  readonly invited: string;
  readonly organizer: string;
  readonly identifiers: string;
  readonly other: string;
}

export function isCalendar(text: string): boolean {
  return /^[\s\ufeff]{0,64}BEGIN[ \t]*:[ \t]*VCALENDAR/i.test(text);
}

export function isCard(text: string): boolean {
  return /^[\s\ufeff]{0,64}BEGIN[ \t]*:[ \t]*VCARD/i.test(text);
}

/**
 * Folded lines joined: with the white space taken out (RFC 5545 section 3.1), and soft breaks of vCard 2.1; a written line break
 * (`\n`, section 3.3.11) is white space, or its letter would begin the next word.
 */
export function unfolded(text: string): string {
  const joined = text.replace(/=\r?\n[ \t]*/g, '').replace(/\r?\n[ \t]/g, '');
  return joined.includes('\\') ? joined.replace(/\\n/gi, ' ') : joined;
}

/** Extensions that hold text of the event, not people. */
const TEXT_EXTENSION = /^X-(?:ALT-DESC|WR-CALDESC|WR-CALNAME)\b/i;

export function readCalendar(text: string): CalendarReading {
  const invited: string[] = [];
  const organizer: string[] = [];
  const identifiers: string[] = [];
  const other: string[] = [];
  for (const line of unfolded(text).split(/[\r\n]+/)) {
    const name = /^[A-Za-z0-9-]{1,60}/.exec(line)?.[0].toUpperCase() ?? '';
    if (name === 'ATTENDEE' || (name.startsWith('X-') && !TEXT_EXTENSION.test(line))) {
      invited.push(spoken(line));
    } else if (name === 'ORGANIZER') organizer.push(spoken(line));
    else if (name === 'UID' || name === 'RELATED-TO') identifiers.push(line);
    else other.push(line);
  }
  return {
    invited: invited.join('\n'),
    organizer: organizer.join('\n'),
    identifiers: identifiers.join('\n'),
    other: other.join('\n'),
  };
}

/** `^n`, `^'` and `^^` undone (RFC 6868). */
function spoken(line: string): string {
  return line.replace(/\^(?:n|')/g, ' ').replaceAll('^^', '^');
}
