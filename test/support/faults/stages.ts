/**
 * The stages with one broken part, for the worker threads. The address of this module says which:
 * `?fault=renderer&detect=off&look=off`.
 */

import { SLOT } from '../../../src/broadcast/prepared-message.ts';
import { type Stages, stages as shipped } from '../../../src/broadcast/stages.ts';
import { type FaultPart, placeOf, victimOf } from './places.ts';
import { plantInRendered, plantInRow, plantInSignature, plantInSlots } from './plant.ts';

const given = new URL(import.meta.url).searchParams;
const fault = given.get('fault') as FaultPart | null;

/** The address of this module with a choice. */
export function brokenStages(
  part: FaultPart | null,
  off: { detect: boolean; look: boolean },
): string {
  const url = new URL(import.meta.url);
  url.search = '';
  if (part !== null) url.searchParams.set('fault', part);
  if (off.detect) url.searchParams.set('detect', 'off');
  if (off.look) url.searchParams.set('look', 'off');
  return url.href;
}

function inAngles(bytes: Uint8Array | undefined): string {
  return /<([^>]*)>/.exec(Buffer.from(bytes ?? []).toString('utf8'))?.[1] ?? '';
}

export const stages: Stages = {
  render: (language, recipient) => {
    const place = placeOf(recipient.address);
    if (place === null) return shipped.render(language, recipient);
    const victim = victimOf(place);
    if (fault === 'audience') return shipped.render(language, plantInRow(place, recipient, victim));
    const rendered = shipped.render(language, recipient);
    if (fault !== 'renderer') return rendered;
    return plantInRendered(place, language.layout, rendered, victim);
  },
  compose: (layout, slots) => {
    const reader = inAngles(slots[SLOT.to]);
    const place = placeOf(reader);
    // In prepare alone: the slots are kept from there, and a fault of `assemble` would show in every later join too.
    if (fault === 'composer' && place !== null && slots[SLOT.date]?.length === 0)
      plantInSlots(place, layout, slots as Buffer[], reader, victimOf(place));
    return shipped.compose(layout, slots);
  },
  inspect: (bytes, rendered, policy) =>
    given.get('detect') === 'off' ? { kind: 'pass' } : shipped.inspect(bytes, rendered, policy),
  look: (bytes, rendered, allowed) =>
    given.get('look') === 'off' ? { kind: 'clear' } : shipped.look(bytes, rendered, allowed),
  signer: (options) => {
    const sign = shipped.signer(options);
    if (fault !== 'signer') return sign;
    return (message, seconds) => {
      const field = sign(message, seconds);
      const place = placeOf(/\r\nTo: <([^>]*)>/.exec(message.toString('latin1'))?.[1] ?? '');
      return place === null ? field : plantInSignature(place, field, victimOf(place));
    };
  },
};
